#include "control/cli/top.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <ostream>
#include <thread>

#include "control/api/explain.h"
#include "control/api/members.h"
#include "control/cli/call.h"
#include "control/cli/options.h"
#include "control/cli/top_screen.h"

namespace wg::control::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLeastSpan{400};  // between two readings that are compared
// The gateway reads counters for 5 s after a question.
constexpr double kLongestInterval = 4;

struct TopOptions {
  std::string sort = "transfer";
  std::string filter;
  std::string interface;
  std::size_t limit = 20;
  double interval = 1;
  bool once = false;
  bool json = false;
};

// ---------------------------------------------------------------- asking

class Readings {
 public:
  Readings(Invocation& invocation, const TopOptions& options)
      : gateway_(invocation.socket, Access::kAny), options_(options) {}

  // Figures since the reading before; null for the first one, and until the gateway has rates.
  Json next(const std::string& sort, const std::string& filter, std::size_t limit) {
    TopReading now{
        gateway_.call(
            "rates", {{"sort", sort}, {"peer", filter}, {"interface", options_.interface}, {"limit", limit}}),
        gateway_.call("show.workers"), gateway_.call("show.drops"), gateway_.call("show.ports")};
    const auto at = Clock::now();
    Json figures;
    if (members::truth(now.rates, "ready") && !before_.rates.is_null())
      figures = top_figures(before_, now, std::chrono::duration<double>(at - before_at_).count());
    if (!figures.is_null()) figures["sort"] = sort;
    if (at - before_at_ < kLeastSpan) return figures;  // a key asked early: the rates of so short a time jump
    before_ = std::move(now);
    before_at_ = at;
    return figures;
  }
  RpcClient& gateway() { return gateway_; }

 private:
  RpcClient gateway_;
  const TopOptions& options_;
  TopReading before_;
  Clock::time_point before_at_{};
};

// Two readings with rates, a second apart: the first says what was lost until then.
void print_once(const TopOptions& options, Invocation& invocation) {
  Readings readings(invocation, options);
  readings.next(options.sort, options.filter, options.limit);
  const auto period = std::chrono::duration<double>(options.interval);
  for (unsigned ready = 0; ready < 2;) {
    std::this_thread::sleep_for(period);
    const Json figures = readings.next(options.sort, options.filter, options.limit);
    if (figures.is_null() || ++ready < 2) continue;
    const View view{std::chrono::system_clock::now(), invocation.terminal.layout};
    invocation.terminal.out << (options.json ? dump(figures) + "\n" : render_top(figures, nullptr, view, 0));
  }
}

// ---------------------------------------------------------------- the terminal

std::atomic<int> ended_by{0};
std::atomic<bool> resized{false};

void on_signal(int signal) {
  if (signal == SIGWINCH)
    resized = true;
  else
    ended_by = signal;
}

// Keys come as they are pressed, without echo, and the screen is one of its own. For this object's life.
class Screen {
 public:
  explicit Screen(std::ostream& out) : out_(out) {
    tcgetattr(STDIN_FILENO, &before_);
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // a stopped program would leave the terminal like this
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
    ended_by = 0;
    struct sigaction action {};
    action.sa_handler = on_signal;
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &actions_[i]);
    out_ << "\033[?1049h\033[?25l" << std::flush;
  }
  ~Screen() {
    out_ << "\033[?25h\033[?1049l" << std::flush;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &actions_[i], nullptr);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // Each line replaces what was there; nothing flickers as it would after clearing.
  void draw(const std::string& text) {
    std::string page = "\033[H";
    for (const char c : text) page += c == '\n' ? std::string("\033[K\n") : std::string(1, c);
    out_ << page << "\033[K\033[J" << std::flush;
  }

  static std::size_t lines() {
    winsize size{};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row != 0 ? size.ws_row : 24;
  }

 private:
  static constexpr std::array<int, 4> kSignals{SIGINT, SIGTERM, SIGHUP, SIGWINCH};
  std::ostream& out_;
  termios before_{};
  std::array<struct sigaction, 4> actions_{};
};

// Keys until then; nothing after a signal too.
std::vector<std::string> read_keys(Clock::time_point until) {
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (poll(&input, 1, static_cast<int>(std::max<long>(wait, 0))) <= 0) return {};
  std::array<char, 256> bytes{};
  const auto length = read(STDIN_FILENO, bytes.data(), bytes.size());
  if (length <= 0) ended_by = SIGHUP;  // the terminal has gone
  return length <= 0 ? std::vector<std::string>{} : keys_of({bytes.data(), static_cast<std::size_t>(length)});
}

class Interactive {
 public:
  Interactive(const TopOptions& options, Invocation& invocation)
      : options_(options), readings_(invocation, options), screen_(invocation.terminal.out) {
    state_.sort = options.sort;
    state_.filter = options.filter;
  }

  void run() {
    ask();
    auto due = Clock::now();
    while (ended_by == 0 && !quit_) {
      if (Clock::now() >= due) {
        if (!state_.paused && !state_.explaining) ask();
        draw();
        due = Clock::now() +
              std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.interval));
      }
      for (const auto& key : read_keys(due)) press(key);
      if (resized.exchange(false)) due = Clock::now();
    }
  }

 private:
  [[nodiscard]] std::size_t rows() const {
    return std::min(members::list(figures_, "peers").size(), rows_of_screen(Screen::lines()));
  }
  void ask() {
    Json figures = readings_.next(state_.sort, state_.filter, rows_of_screen(Screen::lines()));
    if (!figures.is_null()) figures_ = std::move(figures);
    drawn_at_ = std::chrono::system_clock::now();
    if (rows() != 0) state_.selected = std::min(state_.selected, rows() - 1);
  }
  void draw() {
    if (state_.explaining) return screen_.draw(explanation_);
    const View view{drawn_at_, layout_of_stdout()};
    screen_.draw(figures_.is_null()
                     ? std::string("reading the counters of all peers; rates follow in a second")
                     : render_top(figures_, &state_, view, Screen::lines()));
  }
  void press(const std::string& key) {
    switch (take_key(state_, key, rows())) {
      case TopAction::kNothing:
        return;
      case TopAction::kQuit:
        quit_ = true;
        return;
      case TopAction::kExplain:
        explain_selected();
        break;
      case TopAction::kAsk:
        ask();
        break;
      case TopAction::kDraw:
        break;
    }
    draw();
  }
  void explain_selected() {
    const Json& peer = members::list(figures_, "peers")[state_.selected];
    const auto answer = readings_.gateway().try_call(
        "explain.peer",
        {{"interface", members::text(peer, "interface")}, {"peer", members::text(peer, "public_key")}});
    explanation_ = answer ? text_of(*answer) : "the peer is gone\n";
    explanation_ += "\nany key: back to the peers";
    state_.explaining = true;
  }
  static std::string text_of(const Json& answer) {
    Explanation explanation;
    explanation.verdict = answer.value("verdict", "");
    explanation.reasons = answer.value("reasons", std::vector<std::string>{});
    explanation.advice = answer.value("advice", std::vector<std::string>{});
    explanation.history = answer.value("history", std::vector<std::string>{});
    return to_text(explanation);
  }

  const TopOptions& options_;
  Readings readings_;
  Screen screen_;
  TopState state_;
  Json figures_;
  WallTime drawn_at_;
  std::string explanation_;
  bool quit_ = false;
};

void top(const TopOptions& options, Invocation& invocation) {
  const bool terminal = invocation.terminal.layout.terminal && isatty(STDIN_FILENO) != 0;
  if (options.once || options.json || !terminal) return print_once(options, invocation);
  Interactive(options, invocation).run();
}

}  // namespace

void add_top(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<TopOptions>();
  auto* command = app.add_subcommand("top", "The busiest peers, with rates, as they change");
  command->add_option("--sort", options->sort, "Order of peers")
      ->check(CLI::IsMember({"transfer", "rx", "tx", "packets", "drops"}))
      ->capture_default_str();
  command
      ->add_option("--filter", options->filter,
                   "Only peers whose name or key contains the text, or that have the address")
      ->type_name("TEXT");
  command->add_option("--interface", options->interface, "Only peers of this interface")
      ->type_name("INTERFACE");
  command->add_option("--interval", options->interval, "Seconds between two updates")
      ->check(seconds_between(0.5, kLongestInterval))
      ->type_name("SECONDS")
      ->default_str("1");
  command->add_option("--limit", options->limit, "With --once: at most N peers")
      ->check(whole_number(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  command->add_flag("--once", options->once, "Print the figures of one interval and end");
  command->add_flag("--json", options->json, "The same as JSON");
  command->callback([options, &invocation] { top(*options, invocation); });
}

}  // namespace wg::control::cli
