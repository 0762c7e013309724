// Small numbers that must not be mixed up: each kind is a type of its own, and costs what its integer costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace wg::dataplane {

// Index into Snapshot::ports; below kMaxPorts. Reused when the port has gone.
enum class PortIndex : std::uint16_t {};
// Index into Snapshot::interfaces; below kMaxInterfaces. Reused when the interface has gone.
enum class InterfaceId : std::uint16_t {};

inline constexpr InterfaceId kNoInterface{0xffff};

// A UDP port, in host order.
enum class UdpPort : std::uint16_t {};
// Asked for: any free one. Elsewhere: none.
inline constexpr UdpPort kAnyPort{0};

template <class Id>
[[nodiscard]] constexpr auto number_of(Id id) noexcept {
  return static_cast<std::underlying_type_t<Id>>(id);
}

// A vector that only its own kind of number indexes.
template <class Id, class T>
class ById : public std::vector<T> {
 public:
  using std::vector<T>::vector;
  [[nodiscard]] T& operator[](Id id) noexcept { return std::vector<T>::operator[](number_of(id)); }
  [[nodiscard]] const T& operator[](Id id) const noexcept {
    return std::vector<T>::operator[](number_of(id));
  }
  // Throws std::out_of_range.
  [[nodiscard]] const T& at(Id id) const { return std::vector<T>::at(number_of(id)); }
  [[nodiscard]] bool has(Id id) const noexcept { return number_of(id) < this->size(); }

  // Every number in use: for (const PortIndex index : ports.ids()).
  class Ids {
   public:
    class Iterator {
     public:
      explicit Iterator(std::size_t at) noexcept : at_(at) {}
      [[nodiscard]] Id operator*() const noexcept {
        return static_cast<Id>(static_cast<std::underlying_type_t<Id>>(at_));
      }
      Iterator& operator++() noexcept {
        ++at_;
        return *this;
      }
      [[nodiscard]] bool operator==(const Iterator&) const = default;

     private:
      std::size_t at_;
    };
    explicit Ids(std::size_t size) noexcept : size_(size) {}
    [[nodiscard]] Iterator begin() const noexcept { return Iterator(0); }
    [[nodiscard]] Iterator end() const noexcept { return Iterator(size_); }

   private:
    std::size_t size_;
  };
  [[nodiscard]] Ids ids() const noexcept { return Ids(this->size()); }
};

}  // namespace wg::dataplane
