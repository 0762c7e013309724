#include "control/cli/qr.h"

#include <qrencode.h>
#include <sodium.h>

#include <memory>

namespace wg::control::cli {
namespace {

constexpr int kQuiet = 2;

struct Release {
  void operator()(QRcode* code) const {
    sodium_memzero(code->data, static_cast<std::size_t>(code->width) * static_cast<std::size_t>(code->width));
    QRcode_free(code);
  }
};

// The quiet zone and what lies outside the code are light.
bool is_light(const QRcode& code, int row, int column) {
  if (row < 0 || column < 0 || row >= code.width || column >= code.width) return true;
  return (code.data[row * code.width + column] & 1) == 0;
}

const char* block(bool upper, bool lower) {
  if (upper) return lower ? "█" : "▀";
  return lower ? "▄" : " ";
}

}  // namespace

std::string qr_code(std::string_view text, bool colour) {
  const std::unique_ptr<QRcode, Release> code(QRcode_encodeData(
      static_cast<int>(text.size()), reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_L));
  if (!code) return {};
  std::string out;
  for (int row = -kQuiet; row < code->width + kQuiet; row += 2) {
    if (colour) out += "\033[40;97m";
    for (int column = -kQuiet; column < code->width + kQuiet; ++column)
      out += block(is_light(*code, row, column), is_light(*code, row + 1, column));
    out += colour ? "\033[0m\n" : "\n";
  }
  return out;
}

}  // namespace wg::control::cli
