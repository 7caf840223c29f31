/*
 * The latest answers of getaddrinfo(3) in this process, and which addresses stand for the same host.
 *
 * The same address may stand in answers for several names. What may be raced beside it are only the addresses that stand in
 * all of them: the program may mean any of those names.
 */
#ifndef PRELOAD_ANSWERS_H
#define PRELOAD_ANSWERS_H

#include <stddef.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* Addresses that are kept of an answer; those after them are not raced. */
#define ANSWER_ADDRESSES 16

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} internet_address;

/* 0 for any other family, and where `length` is too short. */
socklen_t internet_address_read(const struct sockaddr *address, socklen_t length, internet_address *ret_address);

/* Keeps the answer, in the place of an older one to the same question. */
void answers_keep(const char *node, const char *service, int family, const struct addrinfo *list);

/*
 * The addresses that may be raced beside `address`: those that come after it in the latest answer that it stands in, in its
 * order. Answers how many; `ret_others` has room for ANSWER_ADDRESSES.
 */
size_t answers_find_others(const internet_address *address, internet_address *ret_others);

#endif
