#include "control/heap.h"

#include <malloc.h>

namespace wg::control {

void free_in_small_steps() {
  mallopt(M_MXFAST, 0);  // mallopt(3): no block is small enough to be put aside
}

}  // namespace wg::control
