// Part of the binding where CUDA was set up with it. TensorFlow asks the system for CUDA's libraries by their names
// alone, and where it was told to look, if at all, differs by its version. One that a process has loaded already is
// found by its name wherever it lies: so they are loaded as the binding is. One that is missing is TensorFlow's to tell.
#include <dlfcn.h>

#include <initializer_list>
#include <string>

namespace {

__attribute__((constructor)) void LoadCuda() {
  Dl_info self;
  if (dladdr(reinterpret_cast<void *>(&LoadCuda), &self) == 0) return;
  const std::string file = self.dli_fname;
  const std::string folder = file.substr(0, file.rfind('/') + 1);
  for (const char *library : {CUDA_LIBRARIES}) dlopen((folder + library).c_str(), RTLD_LAZY);
}

}  // namespace
