# For ext/socket/extconf.rb, before its create_makefile("socket"):
#
#     --with-happysock=DIRECTORY   links DIRECTORY/lib/libhappysock.a, with DIRECTORY/include/happysock.h
#     --with-happysock             links the library that pkg-config finds
#
happysock = with_config("happysock", true)
if happysock.is_a?(String)
  archive = File.join(happysock, "lib", "libhappysock.a")
  abort "happysock was not found: there is no #{archive}" unless File.exist?(archive)
  $INCFLAGS << " -I#{File.join(happysock, "include")}"
  $libs << " #{archive} -lpthread -ldl -lm"
  # The library is socket.so's own business: none of its names shows, and nothing of it stays that is not used.
  $DLDFLAGS << " -Wl,--exclude-libs,libhappysock.a -Wl,--gc-sections"
elsif !pkg_config("happysock")
  abort "happysock was not found: pkg-config does not know it; --with-happysock=DIRECTORY says where it is installed"
end
