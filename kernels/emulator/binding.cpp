// One file of kernels for the emulator: compiled with SA_SOURCE, the file, and SA_KERNELS, KERNEL(name) for each of them.
#include "emulator.h"

#include SA_SOURCE

#include <string.h>

#include <utility>

namespace {

template <auto kernel, typename... Parameters, size_t... index>
void call(void (*)(Parameters...), void** arguments, std::index_sequence<index...>) {
  kernel(*static_cast<Parameters*>(arguments[index])...);
}

template <auto kernel, typename... Parameters>
Invoke bind(void (*)(Parameters...), int count) {
  if (count != static_cast<int>(sizeof...(Parameters))) return nullptr;
  return [](void** arguments) {
    call<kernel>(kernel, arguments, std::index_sequence_for<Parameters...>());
  };
}

}  // namespace

Invoke find_kernel(const char* name, int count) {
#define KERNEL(kernel) \
  if (strcmp(name, #kernel) == 0) return bind<&kernel>(kernel, count);
  SA_KERNELS
#undef KERNEL
  return nullptr;
}
