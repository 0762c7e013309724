// Steps of a destructor that need memory: an exception would end the process, and half of an object must not
// stay. Lack of memory only delays them.
#pragma once

#include <chrono>
#include <new>
#include <thread>

namespace wg::control {

// `step` may be called again after it has thrown std::bad_alloc.
template <class Step>
void surely(const Step& step) {
  for (;;) {
    try {
      return step();
    } catch (const std::bad_alloc&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
}

}  // namespace wg::control
