#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace {

class Pool {
 public:
  Pool() {
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); i++) std::thread([this] { Help(); }).detach();
  }

  void Run(int64_t count, const std::function<void(int64_t)> &piece) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      piece_ = &piece;
      count_ = count;
      next_ = 0;
      turn_++;
    }
    begin_.notify_all();
    Work();
    std::unique_lock<std::mutex> lock(mutex_);
    end_.wait(lock, [this] { return helping_ == 0; });
    piece_ = nullptr; // a thread that wakes up only now has nothing to do
  }

  std::mutex owner; // of all the threads

 private:
  void Work() {
    for (int64_t i; (i = next_.fetch_add(1)) < count_;) (*piece_)(i);
  }

  [[noreturn]] void Help() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (int64_t seen = 0;;) {
      begin_.wait(lock, [&] { return turn_ != seen; });
      seen = turn_;
      if (piece_ == nullptr) continue;
      helping_++;
      lock.unlock();
      Work();
      lock.lock();
      if (--helping_ == 0) end_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable begin_, end_;
  const std::function<void(int64_t)> *piece_ = nullptr;
  std::atomic<int64_t> next_{0};
  int64_t count_ = 0, turn_ = 0;
  int helping_ = 0;
};

}  // namespace

void Parallel(int64_t count, const std::function<void(int64_t)> &piece) {
  static Pool *pool = new Pool; // never deleted: its threads wait until the process ends
  std::unique_lock<std::mutex> lock(pool->owner, std::try_to_lock);
  if (lock && count > 1) return pool->Run(count, piece);
  for (int64_t i = 0; i < count; i++) piece(i);
}
