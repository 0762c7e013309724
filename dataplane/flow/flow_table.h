// Packet -> flow. Lock-free for workers; the control thread is the only writer.
//
// Both tuples of a flow have an entry in the index. A bucket is one cache line: seven entries of 32 bits of
// the tuple's hash and the flow's number, and a count of the entries that found it full and went to a second
// bucket. So a lookup reads one line of the index, and a second one only where that count is not 0, and then
// the flow. The size is fixed: with both buckets full, which at this load takes luck, a flow is refused as it
// is beyond the capacity, and stays Linux's. The hash has a secret key, so that no host can choose
// connections that fill a bucket.
//
// A removed flow is found by no lookup that starts later. Its memory is used again when every worker has
// finished the burst in which it may have been found.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/flow/flow.h"

namespace wg::dataplane {

// A packet to look up: its IP header and family. It can_be_carried(); null for one that cannot.
struct FlowProbe {
  const std::uint8_t* l3;
  bool v6;
};

using FlowNumber = std::uint32_t;
inline constexpr FlowNumber kNoFlow = ~FlowNumber{0};

class FlowTable {
 public:
  using HashKey = std::array<std::uint64_t, 6>;

  // `capacity`: flows, at least 1. `key`: random and secret. `defer` runs a function when all workers are
  // quiescent, maybe after the table's end. Throws std::bad_alloc.
  FlowTable(std::size_t capacity, const HashKey& key, std::function<void(std::function<void()>)> defer);
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  // ---- workers
  // The direction that names each of n packets, null where none does. The other direction of a result is
  // opposite(). At most kMaxBurst packets.
  static constexpr std::size_t kMaxBurst = 64;
  void find_burst(const FlowProbe* probes, std::size_t n, FlowDirection** found) const noexcept;
  [[nodiscard]] static const FlowDirection& opposite(const FlowDirection& direction) noexcept {
    return *reinterpret_cast<const FlowDirection*>(reinterpret_cast<std::uintptr_t>(&direction) ^
                                                   sizeof(FlowDirection));
  }

  // ---- control
  // kNoFlow: it is full, or a packet of either tuple already belongs to a flow.
  [[nodiscard]] FlowNumber insert(const FlowTuple& original, const FlowTuple& reply,
                                  FlowIngress original_from, FlowIngress reply_from, BootSeconds now);
  void remove(FlowNumber number);
  // Removes every flow.
  void clear();
  // The flow with this tuple in either direction.
  [[nodiscard]] FlowNumber find(const FlowTuple& tuple) const noexcept;
  [[nodiscard]] Flow& at(FlowNumber number) noexcept { return flows_[number]; }
  [[nodiscard]] const Flow& at(FlowNumber number) const noexcept { return flows_[number]; }
  [[nodiscard]] bool in_use(FlowNumber number) const noexcept {
    return number < used_.size() && used_[number];
  }
  // Numbers in use are below.
  [[nodiscard]] FlowNumber end() const noexcept { return static_cast<FlowNumber>(used_.size()); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  // With every page in use.
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

 private:
  static constexpr std::size_t kEntries = 7;
  // An entry: the hash's lower half above, twice the flow's number plus its direction plus 1 below; 0: free.
  struct alignas(64) Bucket {
    std::atomic<std::uint64_t> entry[kEntries];
    std::atomic<std::uint64_t> elsewhere;  // entries of this bucket's tuples in their second bucket
  };
  struct Unmap {
    std::size_t bytes = 0;
    void operator()(void* pages) const noexcept;
  };
  template <class T>
  using Pages = std::unique_ptr<T[], Unmap>;

  [[nodiscard]] std::uint64_t hash_of(const FlowProbe& probe) const noexcept;
  [[nodiscard]] Bucket& first_bucket(std::uint64_t hash) const noexcept;
  [[nodiscard]] Bucket& second_bucket(std::uint64_t hash) const noexcept;
  [[nodiscard]] FlowDirection* direction_of(std::uint64_t entry) const noexcept;
  [[nodiscard]] static unsigned matches(const Bucket& bucket, std::uint64_t hash) noexcept;
  [[nodiscard]] FlowDirection* search(const Bucket& bucket, std::uint64_t hash,
                                      const FlowProbe& probe) const noexcept;
  [[nodiscard]] FlowDirection* search_all(const FlowProbe& probe, std::uint64_t hash) const noexcept;
  [[nodiscard]] bool add_entry(const FlowDirection& direction, std::uint64_t value);
  void remove_entry(const FlowDirection& direction, std::uint64_t value);
  [[nodiscard]] FlowNumber take_number();
  void give_back(std::vector<FlowNumber> numbers);

  const std::size_t capacity_;
  const std::size_t buckets_;
  const HashKey key_;
  std::function<void(std::function<void()>)> defer_;
  Pages<Bucket> index_;
  Pages<Flow> flows_;
  std::size_t size_ = 0;
  std::vector<bool> used_;
  const std::shared_ptr<std::vector<FlowNumber>> free_;  // shared with what has been deferred
};

}  // namespace wg::dataplane
