/* Judging what the library answers: each scenario hands its answer over to here. */
#ifndef ANSWERS_H
#define ANSWERS_H

#include "scenarios.h"

#include <happysock.h>

#include <netdb.h>
#include <stdint.h>

/* The answer that a sound machine gives. */
struct expected {
    int status, gai_error, sys_errno;
};
extern const struct expected connected, cancelled, limit_reached, nobody_listens, no_such_name;

/* Each result of a connect goes through here. `fd` is what the call returned, `error` its errno. A socket is closed. */
void judge_result(int fd, int error, const happy_result *result, struct expected expected, enum weather weather,
                  struct report *report);

/* An answer of getaddrinfo's kind; frees the list. */
void judge_lookup(int answer, int error, struct addrinfo *list, int expected, int expected_errno, enum weather weather,
                  struct report *report);

/* Milliseconds: a limit that is reached only where the one way that answers is made to fail; then it is waited for. */
int32_t ample(enum weather weather);

#endif
