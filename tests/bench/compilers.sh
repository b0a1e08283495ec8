#!/usr/bin/env bash
# What the compilers of Mesa make of a training step's kernels, for cards that are not there: AMD's by ACO, NVIDIA's by
# NAK. Registers, what did not fit in them, a workgroup's memory, instructions, and what the compiler takes them to last.
# NVIDIA's own driver has another compiler: it is of use to compare two versions of a kernel.
# usage: tests/bench/compilers.sh [shape, as TinyLlama-1.1B] [tokens, as 512]
# Needs root, Debian, and Dawn (npm run setup:webgpu).
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/bench/mesa.sh
root=$(mktemp -d)
trap 'rm -rf --one-file-system "$root"' EXIT
make_root "$root" mesa-drm-shim > /dev/null

compiled() { # title, driver, variables
  printf '\n%s\n' "$1"
  in_root "$root" env MESA_SHADER_CACHE_DISABLE=true RADV_DEBUG=shaderstats,nocache NAK_DEBUG=print \
    VK_DRIVER_FILES="/usr/share/vulkan/icd.d/$2_icd.json" "${@:3}" \
    node --import ./src/start.js tests/bench/compiled.ts "${shape[@]}" 2>&1 | node --import ./src/start.js tests/bench/compilers.ts
}
shape=("$@")
lib=/usr/lib/x86_64-linux-gnu
for card in navi21 navi31 gfx1201; do
  compiled "AMD $card" radeon AMDGPU_GPU_ID="$card" LD_PRELOAD="$lib/libamdgpu_noop_drm_shim.so"
done
for card in 162 172; do # Turing and Ampere; testing's Mesa takes no later one
  compiled "NVIDIA chipset 0x$card" nouveau NOUVEAU_CHIPSET="0x$card" LD_PRELOAD="$lib/libnouveau_noop_drm_shim.so"
done
