#include "dataplane/lpm/update_memory.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

#include "dataplane/lpm/node.h"

namespace wg::lpm {
namespace {

std::size_t rounded(std::size_t bytes) noexcept {
  return (bytes + kLine - 1) & ~(kLine - 1);
}

// glibc's aligned_alloc cannot reuse a freed allocation of the same size: it searches for more than it needs
// and trims the result. Updates copy and free nodes all the time, so such holes came to fill most of the
// heap. Instead each node is allocated with one extra line, and the start of the allocation is stored just
// before the node.
std::size_t footprint(std::size_t bytes) noexcept {
  return kLine + rounded(bytes);
}

void* allocate_node(std::size_t bytes) noexcept {
  auto* const start = static_cast<std::byte*>(std::malloc(footprint(bytes)));
  if (start == nullptr) return nullptr;
  static_assert(alignof(std::max_align_t) >= sizeof start);
  std::byte* const node = start + kLine - reinterpret_cast<std::uintptr_t>(start) % kLine;
  std::memcpy(node - sizeof start, &start, sizeof start);
  return node;
}

void free_node(void* node, std::size_t) {
  std::byte* start = nullptr;
  std::memcpy(&start, static_cast<std::byte*>(node) - sizeof start, sizeof start);
  std::free(start);
}

}  // namespace

void* UpdateMemory::allocate(std::size_t bytes) {
  fresh_.reserve(fresh_.size() + 1);
  void* memory = allocate_node(bytes);
  if (memory == nullptr) throw std::bad_alloc();
  fresh_.push_back({memory, footprint(bytes)});
  bytes_ += footprint(bytes);
  return memory;
}

void UpdateMemory::discard(const void* node, std::size_t bytes) {
  replaced_.push_back({const_cast<void*>(node), footprint(bytes)});
}

void UpdateMemory::commit() {
  for (const Allocation& node : replaced_) {
    bytes_ -= node.bytes;
    reclaimer_.retire(node.memory, free_node, node.bytes);
  }
  replaced_.clear();
  fresh_.clear();
}

void UpdateMemory::abandon() noexcept {
  for (const Allocation& node : fresh_) {
    bytes_ -= node.bytes;
    free_node(node.memory, node.bytes);
  }
  replaced_.clear();
  fresh_.clear();
}

}  // namespace wg::lpm
