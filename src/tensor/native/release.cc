// Part of the binding. To load TensorFlow's library its symbols are looked up, its tables filled and its parts made
// known: 350 MB of the file are then in the process, most of which nobody reads again. They are let go of here; what is
// read after all comes back from the system's cache of the file, page by page.
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace {

int Release(dl_phdr_info *library, size_t, void *) {
  if (std::strstr(library->dlpi_name, "libtensorflow") == nullptr) return 0;
  const ElfW(Addr) page = sysconf(_SC_PAGESIZE);
  for (int i = 0; i < library->dlpi_phnum; i++) {
    const ElfW(Phdr) &segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue; // what was written is not in the file
    const ElfW(Addr) begin = (library->dlpi_addr + segment.p_vaddr) / page * page;
    const ElfW(Addr) end = (library->dlpi_addr + segment.p_vaddr + segment.p_memsz) / page * page;
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
  }
  return 0;
}

// As the binding is loaded, which TensorFlow's library is before it.
__attribute__((constructor)) void ReleaseLibrary() { dl_iterate_phdr(Release, nullptr); }

}  // namespace
