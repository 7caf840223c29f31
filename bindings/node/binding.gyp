{
  # HAPPYSOCK_PREFIX is where happysock was installed, when that is not where pkg-config finds it. The archive is linked, so that
  # the addon needs nothing at run time.
  "variables": {
    "flags": "PKG_CONFIG_PATH=${HAPPYSOCK_PREFIX:+$HAPPYSOCK_PREFIX/lib/pkgconfig:}$PKG_CONFIG_PATH pkg-config"
  },
  "targets": [
    {
      "target_name": "happysock",
      "sources": ["src/addon.c", "src/arguments.c", "src/results.c"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-std=gnu11", "-Wall", "-Wextra", "-fvisibility=hidden", "<!@(<(flags) --cflags happysock)"],
      "ldflags": ["-Wl,--exclude-libs,ALL", "-Wl,--gc-sections"],
      "libraries": ["<!@(<(flags) --libs --static happysock | sed s/-lhappysock/-l:libhappysock.a/)"]
    }
  ]
}
