/*
 * What would have been called without this library: the functions that come after it in the search of the dynamic linker,
 * libc's own or those of another library that was put before libc.
 */
#ifndef PRELOAD_NEXT_H
#define PRELOAD_NEXT_H

#include <stdbool.h>
#include <netdb.h>
#include <sys/socket.h>

int next_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **ret_list);
int next_connect(int fd, const struct sockaddr *address, socklen_t length);

/* Whether they are libc's. Where they are not, whoever put them there is obeyed: nothing is looked up or raced here. */
bool next_getaddrinfo_is_of_libc(void);
bool next_connect_is_of_libc(void);

#endif
