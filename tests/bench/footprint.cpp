// SPDX-License-Identifier: BSL-1.0
// Reads what a process uses, and is the `new` that counts.
#include <bench/footprint.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>

namespace bench {

double resident_bytes() {
  double all = 0;
  double resident = 0;
  std::ifstream file{"/proc/self/statm"};
  if (!(file >> all >> resident)) throw std::runtime_error{"/proc/self/statm cannot be read"};
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double kernel_bytes() {
  double sum = 0;
  std::ifstream file{"/proc/meminfo"};
  for (std::string line; std::getline(file, line);) {
    const std::string key = line.substr(0, line.find(':'));
    if (key == "KernelStack" || key == "PageTables" || key == "SUnreclaim") {
      sum += std::strtod(line.c_str() + key.size() + 1, nullptr) * 1024;
    }
  }
  if (sum == 0) throw std::runtime_error{"/proc/meminfo does not tell what the kernel uses"};
  return sum;
}

double processor_time() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto microseconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
}

}  // namespace bench

namespace {

void* allocated(void* memory) {
  if (memory == nullptr) throw std::bad_alloc{};
  bench::Allocations::note();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return allocated(std::malloc(size == 0 ? 1 : size)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  return allocated(std::aligned_alloc(step, (size + step - 1) / step * step));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
