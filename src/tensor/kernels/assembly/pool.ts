import { attentionGradientsTask, attentionTask } from './attention';
import { productTask } from './matmul';

// Threads over one memory. A job is cut into tasks; whoever is free claims the next one, the main thread among them,
// which returns when all are done. It never waits for a thread that has claimed nothing: one that sleeps, or has not
// started yet, costs no time.

/** What the threads share; the job's own words follow. */
// @ts-expect-error: decorator
@unmanaged
class Board {
  /** The job's number in the high half, the tasks that nobody has claimed in the low one: a claim is one exchange. */
  turn: i64;
  /** Tasks that are not done. */
  open: i32;
  kernel: i32;
}

const JOB: usize = 64; // bytes from the board to the job

/** What a waiting thread tries before it sleeps. */
const SPINS: i32 = 1000;

/** Does a job, whose words are written, with all threads. */
export function run(board: usize, scratch: usize, kernel: i32, tasks: i32): void {
  const b = changetype<Board>(board);
  const open = board + offsetof<Board>('open');
  b.kernel = kernel;
  b.open = tasks;
  atomic.store<i64>(board, ((atomic.load<i64>(board) >> 32) + 1) << 32 | tasks);
  if (tasks > 1) atomic.notify(board, tasks - 1);
  work(board, scratch);
  let spins = SPINS;
  for (let left = atomic.load<i32>(open); left > 0; left = atomic.load<i32>(open)) {
    if (spins) spins--;
    else atomic.wait<i32>(open, left, -1);
  }
}

/** A worker's life. */
export function serve(board: usize, scratch: usize): void {
  while (true) {
    const turn = work(board, scratch);
    let spins = SPINS;
    while (spins && atomic.load<i64>(board) == turn) spins--;
    if (!spins) atomic.wait<i64>(board, turn, -1);
  }
}

/** Claims tasks and does them until there are none; returns the turn that it saw last. */
function work(board: usize, scratch: usize): i64 {
  const open = board + offsetof<Board>('open');
  while (true) {
    const turn = atomic.load<i64>(board);
    if (<i32>turn == 0) return turn;
    if (atomic.cmpxchg<i64>(board, turn, turn - 1) != turn) continue;
    const task = <i32>turn - 1;
    const job = board + JOB;
    switch (changetype<Board>(board).kernel) { // the numbers of ../pool.ts
      case 0: productTask(job, task, scratch); break;
      case 1: attentionTask(job, task, scratch); break;
      case 2: attentionGradientsTask(job, task, scratch); break;
    }
    if (atomic.sub<i32>(open, 1) == 1) atomic.notify(open, 1);
  }
}
