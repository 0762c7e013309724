// Allocates an AeadScratch in pages of its own, kept out of swap and core dumps where the system allows.
#include "dataplane/crypto/aead_scratch.h"

#include <sodium.h>
#include <sys/mman.h>

#include <new>

#include "dataplane/crypto/aead.h"

namespace wg::crypto {

AeadScratchPtr make_aead_scratch() {
  void* pages = mmap(nullptr, sizeof(AeadScratch), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  // Best effort: RLIMIT_MEMLOCK may forbid the lock, and the wipe after each burst limits what the lock would
  // protect.
  static_cast<void>(mlock(pages, sizeof(AeadScratch)));
  static_cast<void>(madvise(pages, sizeof(AeadScratch), MADV_DONTDUMP));
  return AeadScratchPtr(::new (pages) AeadScratch);
}

void AeadScratchDeleter::operator()(AeadScratch* scratch) const noexcept {
  if (scratch == nullptr) return;
  sodium_memzero(scratch, sizeof(AeadScratch));
  munmap(scratch, sizeof(AeadScratch));
}

}  // namespace wg::crypto
