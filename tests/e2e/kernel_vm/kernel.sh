# Sourced by the scripts that make images of virtual machines: Debian's kernels, without installing one.

# fetch_kernel META DIRECTORY: the package that META (linux-image-amd64, linux-image-cloud-amd64) stands for, into DIRECTORY, once.
fetch_kernel() {
  local meta=$1 directory=$2
  if ls "$directory"/linux-image-*.deb >/dev/null 2>&1; then return 0; fi
  # With old lists the package's version may be gone from the mirror.
  download_kernel "$meta" "$directory" || { apt-get -qq update && download_kernel "$meta" "$directory"; }
}
download_kernel() {
  local package
  package=$(apt-cache depends "$1" | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
  [ -n "$package" ] || { echo "apt's lists know no $1" >&2; return 1; }
  (cd "$2" && apt-get -qq download "$package")
}

# unpack_kernel DIRECTORY ROOT: prints the kernel's version.
unpack_kernel() {
  local version
  rm -rf "$2"
  dpkg-deb -x "$1"/linux-image-*.deb "$2"
  version=$(ls "$2/lib/modules")
  depmod -b "$2" "$version"
  echo "$version"
}

# copy_modules ROOT VERSION TO NAME...: the modules and what they need, decompressed, into the directory TO; prints their file
# names in the order they must be loaded.
copy_modules() {
  local root=$1 version=$2 to=$3 module file name
  shift 3
  for module in "$@"; do
    modprobe -d "$root" -S "$version" --show-depends "$module" | awk '/^insmod/ { print $2 }'
  done | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file" | sed 's/\.ko.*/.ko/')
    case $file in
      *.xz) xz -dc "$file" ;;
      *.zst) zstd -qdc "$file" ;;
      *) cat "$file" ;;
    esac >"$to/$name"
    echo "$name"
  done
}
