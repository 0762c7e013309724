// The memory of a table's nodes. An update allocates the nodes that it creates and discards those that they
// replace. Once the new nodes are published, `commit` hands the replaced ones to the reclaimer; after a
// failed allocation `abandon` frees the new ones instead and the old ones stay.
#pragma once

#include <cstddef>
#include <vector>

#include "dataplane/lpm/lpm.h"

namespace wg::lpm {

// Only the table's writer calls.
class UpdateMemory {
 public:
  explicit UpdateMemory(Reclaimer& reclaimer) : reclaimer_(reclaimer) {}

  // Returns memory for a node of `bytes` bytes, aligned to a cache line. Throws std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t bytes);
  // The current update replaces this node. Throws std::bad_alloc.
  void discard(const void* node, std::size_t bytes);
  // The update is published: readers that started before may still use the discarded nodes.
  void commit();
  // The update failed before it was published.
  void abandon() noexcept;

  // The memory of all nodes, those that wait for the reclaimer not counted.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Allocation {
    void* memory;
    std::size_t bytes;
  };

  Reclaimer& reclaimer_;
  std::size_t bytes_ = 0;
  std::vector<Allocation> fresh_;     // created by the current update
  std::vector<Allocation> replaced_;  // discarded by the current update
};

}  // namespace wg::lpm
