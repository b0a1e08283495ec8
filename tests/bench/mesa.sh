# To be sourced. Debian's testing in a folder of its own, for its Mesa: from version 26 on its software adapter has
# matrix units. Needs root.

# make_root FOLDER [PACKAGE…]: it sees this machine's node.
make_root() {
  local root=$1 packages=libvulkan1,mesa-vulkan-drivers
  shift
  for package in "$@"; do packages+=,$package; done
  { command -v debootstrap || DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap; } \
    && debootstrap --variant=minbase --include="$packages" testing "$root" \
    && install -D "$(realpath "$(command -v node)")" "$root/usr/local/bin/node" \
    && mkdir "$root/project"
}

# in_root FOLDER COMMAND…: in it, in the project, which is this folder. What is mounted goes with the command.
in_root() {
  unshare --mount bash -ec '
    mount --bind . "$0/project"
    mount --bind /dev "$0/dev"
    mount -t proc proc "$0/proc"
    exec chroot "$0" bash -c "cd /project && exec \"\$@\"" "$@"' "$1" bash "${@:2}"
}
