#include "bench/aead_libraries.h"

#include <openssl/evp.h>
#include <sodium.h>

#include <array>
#include <cstring>
#include <map>
#include <stdexcept>

#include "dataplane/crypto/constant_time.h"

#ifdef LINEGATE_HAVE_IPSEC_MB
#include <intel-ipsec-mb.h>
#endif

namespace wg::bench {
namespace {

using crypto::AeadOp;

using Nonce = std::array<std::uint8_t, 12>;
using Tag = std::array<std::uint8_t, crypto::kAeadTagSize>;

Nonce nonce_of(const AeadOp& op) {
  Nonce nonce{};
  std::memcpy(nonce.data() + 4, &op.counter, sizeof op.counter);
  return nonce;
}

class Ours final : public AeadLibrary {
 public:
  explicit Ours(const crypto::AeadEngine& engine) : engine_(engine), scratch_(crypto::make_aead_scratch()) {}
  const char* name() const override { return engine_.name; }
  void prepare(std::span<AeadOp>) override {}
  void seal(std::span<AeadOp> ops) override { engine_.seal(*scratch_, ops); }
  std::size_t open(std::span<AeadOp> ops) override { return engine_.open(*scratch_, ops); }

 private:
  const crypto::AeadEngine& engine_;
  crypto::AeadScratchPtr scratch_;
};

class Sodium final : public AeadLibrary {
 public:
  const char* name() const override { return "libsodium"; }
  void prepare(std::span<AeadOp>) override {}

  void seal(std::span<AeadOp> ops) override {
    for (const AeadOp& op : ops) {
      const Nonce nonce = nonce_of(op);
      crypto_aead_chacha20poly1305_ietf_encrypt_detached(op.data, op.data + op.length, nullptr, op.data,
                                                         op.length, nullptr, 0, nullptr, nonce.data(),
                                                         op.key);
    }
  }

  std::size_t open(std::span<AeadOp> ops) override {
    std::size_t authentic = 0;
    for (const AeadOp& op : ops) {
      const Nonce nonce = nonce_of(op);
      authentic += crypto_aead_chacha20poly1305_ietf_decrypt_detached(op.data, nullptr, op.data, op.length,
                                                                      op.data + op.length, nullptr, 0,
                                                                      nonce.data(), op.key) == 0;
    }
    return authentic;
  }
};

// One keyed context per session and direction, as a caller of EVP would keep them. Only the nonce is set per
// packet.
class OpenSsl final : public AeadLibrary {
 public:
  const char* name() const override { return "openssl"; }

  void prepare(std::span<AeadOp> ops) override {
    for (const AeadOp& op : ops) {
      if (sessions_.contains(op.key)) continue;
      Session& session = sessions_[op.key];
      const EVP_CIPHER* cipher = EVP_chacha20_poly1305();
      EVP_EncryptInit_ex(session.seal.get(), cipher, nullptr, op.key, nullptr);
      EVP_DecryptInit_ex(session.open.get(), cipher, nullptr, op.key, nullptr);
    }
    order_.clear();
    for (const AeadOp& op : ops) order_.push_back(&sessions_[op.key]);
    first_ = ops.data();
  }

  void seal(std::span<AeadOp> ops) override {
    int written = 0;
    for (const AeadOp& op : ops) {
      EVP_CIPHER_CTX* ctx = order_[&op - first_]->seal.get();
      EVP_EncryptInit_ex(ctx, nullptr, nullptr, nullptr, nonce_of(op).data());
      if (op.length) EVP_EncryptUpdate(ctx, op.data, &written, op.data, static_cast<int>(op.length));
      EVP_EncryptFinal_ex(ctx, op.data + op.length, &written);
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, crypto::kAeadTagSize, op.data + op.length);
    }
  }

  std::size_t open(std::span<AeadOp> ops) override {
    std::size_t authentic = 0;
    int written = 0;
    for (const AeadOp& op : ops) {
      EVP_CIPHER_CTX* ctx = order_[&op - first_]->open.get();
      EVP_DecryptInit_ex(ctx, nullptr, nullptr, nullptr, nonce_of(op).data());
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, crypto::kAeadTagSize, op.data + op.length);
      if (op.length) EVP_DecryptUpdate(ctx, op.data, &written, op.data, static_cast<int>(op.length));
      Tag unused;
      authentic += EVP_DecryptFinal_ex(ctx, unused.data(), &written) == 1;
    }
    return authentic;
  }

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* ctx) const { EVP_CIPHER_CTX_free(ctx); }
  };
  using Context = std::unique_ptr<EVP_CIPHER_CTX, Free>;
  struct Session {
    Context seal{EVP_CIPHER_CTX_new()};
    Context open{EVP_CIPHER_CTX_new()};
  };
  std::map<const std::uint8_t*, Session> sessions_;
  std::vector<Session*> order_;
  const AeadOp* first_ = nullptr;
};

#ifdef LINEGATE_HAVE_IPSEC_MB

class IpsecMb : public AeadLibrary {
 public:
  explicit IpsecMb(bool avx2_only) : mgr_(alloc_mb_mgr(0)) {
    if (mgr_ == nullptr) throw std::runtime_error("ipsec-mb: no memory");
    if (avx2_only) {
      init_mb_mgr_avx2(mgr_);
    } else {
      init_mb_mgr_auto(mgr_, nullptr);
    }
  }
  ~IpsecMb() override { free_mb_mgr(mgr_); }
  IpsecMb(const IpsecMb&) = delete;
  IpsecMb& operator=(const IpsecMb&) = delete;

  const char* name() const override { return "ipsec-mb"; }
  void prepare(std::span<AeadOp>) override {}

 protected:
  static void fill(IMB_JOB& job, const AeadOp& op, const Nonce& nonce, IMB_CIPHER_DIRECTION direction,
                   std::uint8_t* tag) {
    job.enc_keys = op.key;
    job.dec_keys = op.key;
    job.key_len_in_bytes = crypto::kAeadKeySize;
    job.src = op.data;
    job.dst = op.data;
    job.cipher_start_src_offset_in_bytes = 0;
    job.msg_len_to_cipher_in_bytes = op.length;
    job.hash_start_src_offset_in_bytes = 0;
    job.msg_len_to_hash_in_bytes = op.length;
    job.iv = nonce.data();
    job.iv_len_in_bytes = nonce.size();
    job.auth_tag_output = tag;
    job.auth_tag_output_len_in_bytes = crypto::kAeadTagSize;
    job.u.CHACHA20_POLY1305.aad = nullptr;
    job.u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
    job.cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job.hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job.cipher_direction = direction;
    job.chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  }

  std::size_t check_tags(std::span<const AeadOp> ops) const {
    std::size_t authentic = 0;
    for (std::size_t i = 0; i < ops.size(); ++i) {
      authentic += crypto::equal(tags_[i].data(), ops[i].data + ops[i].length, crypto::kAeadTagSize);
    }
    return authentic;
  }

  IMB_MGR* mgr_;
  std::array<Nonce, crypto::kAeadMaxBurst> nonces_;
  std::array<Tag, crypto::kAeadMaxBurst> tags_;
};

class IpsecMbJobs final : public IpsecMb {
 public:
  using IpsecMb::IpsecMb;
  void seal(std::span<AeadOp> ops) override { run(ops, IMB_DIR_ENCRYPT); }
  std::size_t open(std::span<AeadOp> ops) override {
    run(ops, IMB_DIR_DECRYPT);
    return check_tags(ops);
  }

 private:
  void run(std::span<AeadOp> ops, IMB_CIPHER_DIRECTION direction) {
    for (std::size_t i = 0; i < ops.size(); ++i) {
      IMB_JOB* job = IMB_GET_NEXT_JOB(mgr_);
      nonces_[i] = nonce_of(ops[i]);
      fill(*job, ops[i], nonces_[i], direction,
           direction == IMB_DIR_ENCRYPT ? ops[i].data + ops[i].length : tags_[i].data());
      IMB_SUBMIT_JOB_NOCHECK(mgr_);
    }
    while (IMB_FLUSH_JOB(mgr_) != nullptr) {
    }
  }
};

class IpsecMbBurst final : public IpsecMb {
 public:
  using IpsecMb::IpsecMb;
  void seal(std::span<AeadOp> ops) override { run(ops, IMB_DIR_ENCRYPT); }
  std::size_t open(std::span<AeadOp> ops) override {
    run(ops, IMB_DIR_DECRYPT);
    return check_tags(ops);
  }

 private:
  void run(std::span<AeadOp> ops, IMB_CIPHER_DIRECTION direction) {
    for (std::size_t first = 0; first < ops.size(); first += IMB_MAX_BURST_SIZE) {
      const std::size_t count = std::min<std::size_t>(ops.size() - first, IMB_MAX_BURST_SIZE);
      IMB_JOB* jobs[IMB_MAX_BURST_SIZE];
      const auto n = static_cast<std::uint32_t>(count);
      if (IMB_GET_NEXT_BURST(mgr_, n, jobs) != n) throw std::runtime_error("ipsec-mb: burst refused");
      for (std::size_t i = 0; i < count; ++i) {
        const AeadOp& op = ops[first + i];
        nonces_[first + i] = nonce_of(op);
        fill(*jobs[i], op, nonces_[first + i], direction,
             direction == IMB_DIR_ENCRYPT ? op.data + op.length : tags_[first + i].data());
      }
      if (IMB_SUBMIT_BURST_NOCHECK(mgr_, n, jobs) < n) IMB_FLUSH_BURST(mgr_, n, jobs);
    }
  }
};

#endif  // LINEGATE_HAVE_IPSEC_MB

}  // namespace

std::unique_ptr<AeadLibrary> make_ours(const crypto::AeadEngine& engine) {
  return std::make_unique<Ours>(engine);
}

std::vector<std::unique_ptr<AeadLibrary>> make_libraries([[maybe_unused]] bool avx2_only) {
  std::vector<std::unique_ptr<AeadLibrary>> libraries;
#ifdef LINEGATE_HAVE_IPSEC_MB
  libraries.push_back(std::make_unique<IpsecMbJobs>(avx2_only));
  libraries.push_back(std::make_unique<IpsecMbBurst>(avx2_only));
#endif
  libraries.push_back(std::make_unique<OpenSsl>());
  libraries.push_back(std::make_unique<Sodium>());
  return libraries;
}

}  // namespace wg::bench
