// EAL starts once per process, so the tests share one dataplane. Its workers never run; they are quiescent
// unless a test says otherwise.
#pragma once

#include "dataplane/dataplane.h"

namespace wg::control {

dataplane::Dataplane& shared_dataplane();

}  // namespace wg::control
