#!/usr/bin/env bash
# Packs what `npm run bench -- --gpu` takes on a machine that has a GPU, but neither Node nor npm nor a network: Node
# itself, Dawn, and the files that are opened of node_modules, 30 MB in all. It is to be unpacked in a checkout:
#   tar -xJf kit.tar.xz && ./node --import ./src/start.js src/cli/bench.ts --gpu --record --python python3
# Needs strace, rsync and xz, and an adapter of WebGPU, if only a software one.
# usage: tests/bench/pack.sh kit.tar.xz
set -euo pipefail
kit=$(realpath "${1:?the file to be written, as kit.tar.xz}")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A small model, on which every module is loaded that a measurement loads.
cat > "$work/model.mts" <<MODEL
import { writeSyntheticModel } from '$PWD/src/model/synthetic.ts';
for (const _ of writeSyntheticModel('$work/model', {
  hiddenSize: 64, intermediateSize: 128, layers: 2, heads: 4, kvHeads: 2, vocabSize: 300, tiedHead: false,
}));
MODEL
node --import ./src/start.js "$work/model.mts"
traced() {
  strace -f -qq -A -e trace=openat,readlink,stat,statx -o "$work/trace" node --import ./src/start.js "$@" > /dev/null
}
traced src/cli/bench-process.ts \
  "{\"backend\":\"webgpu\",\"folder\":\"$work/model\",\"sequence\":32,\"batch\":1,\"r\":4,\"steps\":3,\"clocked\":true}"
traced src/cli/bench.ts --gpu

grep -o '"[^"]*node_modules/[^"]*"' "$work/trace" | tr -d '"' | sed "s#^$PWD/##" | grep -v '\.map$' | sort -u \
  | while read -r file; do if [ -f "$file" ]; then echo "$file"; fi; done > "$work/files"
mkdir "$work/root"
rsync -a --files-from="$work/files" ./ "$work/root/"
cp "$(command -v node)" "$work/root/node"
strip "$work/root/node"
find "$work/root" -name '*.node' -exec strip {} +
tar -C "$work/root" -cf - . | xz -T0 -6 > "$kit"
ls -l "$kit"
