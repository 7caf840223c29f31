/* A loopback host as gethostbyname2_r(3) gives it, for programs that answer lookups themselves. */
#ifndef HOSTENT_H
#define HOSTENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

static inline int loopback_hostent(int family, struct hostent *host, char *buffer, size_t size, struct hostent **ret_host,
                                   int *ret_host_error)
{
    struct contents {
        char *addresses[2], *aliases[1];
        unsigned char address[16];
        char name[16];
    } *contents = (struct contents *)buffer;
    *ret_host = NULL;
    if (size < sizeof *contents) {
        *ret_host_error = NETDB_INTERNAL;
        return errno = ERANGE;
    }
    memset(contents, 0, sizeof *contents);
    inet_pton(family, family == AF_INET6 ? "::1" : "127.0.0.1", contents->address);
    strcpy(contents->name, "loopback.test");
    contents->addresses[0] = (char *)contents->address;
    *host = (struct hostent){.h_name = contents->name, .h_aliases = contents->aliases, .h_addrtype = family,
                             .h_length = family == AF_INET6 ? 16 : 4, .h_addr_list = contents->addresses};
    *ret_host = host;
    *ret_host_error = NETDB_SUCCESS;
    return 0;
}

#endif
