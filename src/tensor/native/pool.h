// Threads among which an operation shares its work out: TensorFlow lends its own to no operation of the C API.
#pragma once

#include <cstdint>
#include <functional>

// Does `piece` for 0 … count − 1, on all threads of the processor; alone, while another operation has them.
void Parallel(int64_t count, const std::function<void(int64_t)> &piece);
