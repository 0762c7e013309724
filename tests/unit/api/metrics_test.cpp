#include "control/api/metrics.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "tests/unit/api/fake_gateway.h"
#include "tests/unit/api/server_thread.h"

namespace wg::control::test {
namespace {

std::string text_of(const MetricsSnapshot& snapshot) {
  return prometheus::TextSerializer{}.Serialize(metric_families(snapshot));
}

MetricsSnapshot take_metrics_snapshot(const StatusSource& status, bool per_peer) {
  MetricsReading reading(status, per_peer);
  while (reading.read(SliceEnd::max())) {
  }
  return reading.take();
}

FakeGateway two_peers() {
  FakeGateway gateway;
  gateway.add_peers("wg0", 2);
  gateway.handshakes["peer1"] = WallTime{std::chrono::seconds{1'700'000'000}};
  return gateway;
}

std::string http_ask(std::uint16_t port, const std::string& page, const std::string& method) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = method + " " + page + " HTTP/1.0\r\nContent-Length: 0\r\n\r\n";
    EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    std::array<char, 65536> buffer;
    for (ssize_t got = 0; (got = recv(fd, buffer.data(), buffer.size(), 0)) > 0;)
      answer.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(fd);
  return answer;
}

std::string http_get(std::uint16_t port, const std::string& page = "/metrics") {
  return http_ask(port, page, "GET");
}

TEST(Metrics, TextCarriesEveryFamily) {
  auto gateway = two_peers();
  const auto text = text_of(take_metrics_snapshot(gateway, true));
  for (const std::string line :
       {"linegate_info{version=\"0.1.0\",dpdk=\"DPDK 22.11.9\",aead=\"portable\"} 1",
        "linegate_interface_peers{interface=\"wg0\"} 2",
        "linegate_interface_receive_bytes_total{interface=\"wg0\"} 1536",
        "linegate_handshake_messages_total{interface=\"wg0\",outcome=\"bad_mac1\"} 3",
        "linegate_peer_connected{interface=\"wg0\",peer=\"peer0\"} 0",
        "linegate_peer_connected{interface=\"wg0\",peer=\"peer1\"} 1",
        "linegate_peer_last_handshake_seconds{interface=\"wg0\",peer=\"peer0\"} 0",
        "linegate_peer_last_handshake_seconds{interface=\"wg0\",peer=\"peer1\"} 1700000000",
        "linegate_peer_receive_bytes_total{interface=\"wg0\",peer=\"peer1\"} 100",
        "linegate_peer_drops_total{interface=\"wg0\",peer=\"peer1\",reason=\"replayed\"} 4",
        "linegate_port_receive_missed_total{port=\"wan0\"} 9",
        "linegate_worker_busy_share{worker=\"0\",lcore=\"1\"} 0.25",
        "linegate_worker_stage_cycles{worker=\"0\",stage=\"classify\"} 20.5",
        "linegate_worker_queue_depth{worker=\"0\",queue=\"handshake\"} 3",
        "linegate_worker_latency_seconds{worker=\"0\",percentile=\"99\"} 3e-06",
        "linegate_drops_total{reason=\"bad_tag\"} 5", "linegate_drops_total{reason=\"replayed\"} 0"})
    EXPECT_NE(text.find(line + "\n"), std::string::npos) << line << " not in\n" << text;
  EXPECT_NE(text.find("endpoint=\"192.0.2.1:51820\""), std::string::npos);
}

TEST(Metrics, AggregateOnlyNamesNoPeer) {
  auto gateway = two_peers();
  const auto text = text_of(take_metrics_snapshot(gateway, false));
  EXPECT_EQ(text.find("peer0"), std::string::npos);
  EXPECT_EQ(text.find("linegate_peer_"), std::string::npos);
  EXPECT_NE(text.find("linegate_interface_peers{interface=\"wg0\"} 2"), std::string::npos);
}

TEST(Metrics, ScrapesGetAFreshSnapshotAndStormsShareOne) {
  auto gateway = two_peers();
  ServerThread server;
  std::unique_ptr<MetricsServer> metrics;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  options.max_age = std::chrono::milliseconds{300};
  server.on_loop([&] { metrics = std::make_unique<MetricsServer>(server.loop, gateway, options); });
  EXPECT_NE(http_get(metrics->port()).find("linegate_interface_peers{interface=\"wg0\"} 2"),
            std::string::npos);
  server.on_loop([&] { gateway.add_peers("wg0", 1); });
  EXPECT_NE(http_get(metrics->port()).find("linegate_interface_peers{interface=\"wg0\"} 2"),
            std::string::npos);
  std::this_thread::sleep_for(std::chrono::milliseconds{350});
  EXPECT_NE(http_get(metrics->port()).find("linegate_interface_peers{interface=\"wg0\"} 3"),
            std::string::npos);
  server.on_loop([&] { metrics.reset(); });
}

TEST(Metrics, AScrapeDoesNotOutliveABusyControlThreadOrTheServer) {
  auto gateway = two_peers();
  ServerThread server;
  std::unique_ptr<MetricsServer> metrics;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  options.wait = std::chrono::milliseconds{100};
  server.on_loop([&] { metrics = std::make_unique<MetricsServer>(server.loop, gateway, options); });
  std::promise<void> release;
  server.loop.post([gate = release.get_future().share()] { gate.wait(); });
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(http_get(metrics->port()).find("200 OK"), std::string::npos);  // answers without a snapshot
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{5});
  release.set_value();
  server.on_loop([&] { metrics.reset(); });
}

// The body of an answer with this status line.
std::string body_of(const std::string& answer, const std::string& status) {
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 " + status + "\r\n")) << answer.substr(0, 200);
  return answer.substr(std::min(answer.size(), answer.find("\r\n\r\n") + 4));
}

TEST(Metrics, HeadHasNoBodyAndOtherMethodsAreRefused) {
  FakeGateway gateway = two_peers();
  ServerThread server;
  std::unique_ptr<MetricsServer> metrics;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  server.on_loop([&] { metrics = std::make_unique<MetricsServer>(server.loop, gateway, options); });
  for (const char* page : {"/metrics", "/healthz", "/readyz"}) {
    const std::string head = http_ask(metrics->port(), page, "HEAD");
    const std::string get = http_ask(metrics->port(), page, "GET");
    EXPECT_EQ(head.substr(0, head.find('\r')), get.substr(0, get.find('\r'))) << page;
    EXPECT_TRUE(head.ends_with("\r\n\r\n")) << page << head;
    EXPECT_EQ(head.find("Content-Length: 0\r\n"), std::string::npos) << "it is the length of what GET brings";
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
      const std::string refused = http_ask(metrics->port(), page, method);
      EXPECT_TRUE(refused.starts_with("HTTP/1.1 405 ")) << method << page << refused;
      EXPECT_NE(refused.find("\r\nAllow: GET, HEAD\r\n"), std::string::npos) << method << page;
    }
  }
  EXPECT_TRUE(http_ask(metrics->port(), "/nothing", "HEAD").starts_with("HTTP/1.1 404"));
  server.on_loop([&] { metrics.reset(); });
}

TEST(Metrics, HealthAndReadinessBesideTheMetrics) {
  FakeGateway gateway;
  gateway.add_peers("wg0", 1);
  gateway.wg0().private_key = secret_of(7);
  gateway.ifindex = 5;
  ServerThread server;
  std::unique_ptr<MetricsServer> metrics;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  options.max_age = std::chrono::milliseconds{0};
  options.wait = std::chrono::milliseconds{300};
  server.on_loop([&] { metrics = std::make_unique<MetricsServer>(server.loop, gateway, options); });
  EXPECT_EQ(body_of(http_get(metrics->port(), "/healthz"), "200 OK"), "ok\n");
  EXPECT_EQ(body_of(http_get(metrics->port(), "/readyz"), "200 OK"), "ready\n");
  EXPECT_TRUE(http_get(metrics->port(), "/").starts_with("HTTP/1.1 404"));
  server.on_loop([&] {
    gateway.link_up = false;
    gateway.ifindex = 0;
    gateway.wg0().private_key.reset();
  });
  EXPECT_EQ(body_of(http_get(metrics->port(), "/readyz"), "503 Service Unavailable"),
            "port wan0 is down\ninterface wg0 does not exist in Linux\ninterface wg0 has no private key\n");
  EXPECT_EQ(body_of(http_get(metrics->port(), "/healthz"), "200 OK"), "ok\n") << "it lives all the same";
  std::promise<void> release;
  server.loop.post([gate = release.get_future().share()] { gate.wait(); });
  EXPECT_EQ(body_of(http_get(metrics->port(), "/healthz"), "503 Service Unavailable"),
            "the control thread does not answer\n");
  EXPECT_EQ(body_of(http_get(metrics->port(), "/readyz"), "503 Service Unavailable"),
            "the control thread does not answer\n");
  release.set_value();
  server.on_loop([&] { metrics.reset(); });
}

TEST(Metrics, NothingButOurMetricsIsShown) {
  auto gateway = two_peers();
  ServerThread server;
  std::unique_ptr<MetricsServer> metrics;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  server.on_loop([&] { metrics = std::make_unique<MetricsServer>(server.loop, gateway, options); });
  std::istringstream lines(body_of(http_get(metrics->port()), "200 OK"));
  std::size_t samples = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) continue;
    ++samples;
    EXPECT_TRUE(line.starts_with("linegate_")) << line;
  }
  EXPECT_GT(samples, 50U);
  server.on_loop([&] { metrics.reset(); });
}

TEST(Metrics, StoppingIsQuickAndFreesThePort) {
  FakeGateway gateway;
  EventLoop loop;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  auto metrics = std::make_unique<MetricsServer>(loop, gateway, options);
  options.listen = "127.0.0.1:" + std::to_string(metrics->port());
  const auto begin = std::chrono::steady_clock::now();
  metrics.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds{1000});
  EXPECT_NO_THROW(MetricsServer(loop, gateway, options));
}

int slow_client(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(send(fd, "G", 1, MSG_NOSIGNAL), 1);
  return fd;
}

// Clients that never end their request; one more than there are threads.
TEST(Metrics, SlowClientsHoldUpNeitherAScrapeNorTheEnd) {
  auto gateway = two_peers();
  ServerThread server;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  auto metrics = std::make_unique<MetricsServer>(server.loop, gateway, options);
  std::vector<int> slow;
  for (int i = 0; i < 5; ++i) slow.push_back(slow_client(metrics->port()));
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_NE(http_get(metrics->port()).find("linegate_info"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{10});
  slow.push_back(slow_client(metrics->port()));
  options.listen = "127.0.0.1:" + std::to_string(metrics->port());
  server.on_loop([&] { metrics.reset(); });
  EXPECT_NO_THROW(MetricsServer(server.loop, gateway, options)) << "the port is free";
  for (const int fd : slow) close(fd);
}

TEST(Metrics, AnAddressThatIsTakenIsSaid) {
  FakeGateway gateway;
  EventLoop loop;
  MetricsOptions options;
  options.listen = "127.0.0.1:0";
  MetricsServer first(loop, gateway, options);
  options.listen = "127.0.0.1:" + std::to_string(first.port());
  EXPECT_THROW(MetricsServer(loop, gateway, options), std::runtime_error);
}

}  // namespace
}  // namespace wg::control::test
