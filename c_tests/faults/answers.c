#define _GNU_SOURCE
#include "answers.h"

#include <errno.h>
#include <fcntl.h>

const struct expected connected = {HAPPY_OK, 0, 0};
const struct expected cancelled = {HAPPY_ECANCELLED, 0, ECANCELED};
const struct expected limit_reached = {HAPPY_ETIMEOUT, 0, ETIMEDOUT};
const struct expected nobody_listens = {HAPPY_ESYSCALL, 0, ECONNREFUSED};
const struct expected no_such_name = {HAPPY_ERESOLVE, EAI_NONAME, 0};

/* A descriptor that was handed over is a connected, blocking, close-on-exec socket to the server; closes it. */
static void judge_socket(int fd, struct report *report)
{
    int flags = fcntl(fd, F_GETFL), descriptor_flags = fcntl(fd, F_GETFD);
    if (flags == -1)
        complain(report, "the descriptor %d is not open", fd);
    else if (flags & O_NONBLOCK)
        complain(report, "the socket is non-blocking");
    else if (!(descriptor_flags & FD_CLOEXEC))
        complain(report, "the socket is not close-on-exec");
    if (flags != -1 && !server_answers(fd))
        complain(report, "the server does not answer on the socket");
}

void judge_result(int fd, int error, const happy_result *result, struct expected expected, enum weather weather,
                  struct report *report)
{
    if ((fd >= 0) != (result->status == HAPPY_OK) || (fd >= 0 ? fd : -1) != result->fd)
        complain(report, "returned %d with status %d and fd %d", fd, result->status, result->fd);
    if (fd < 0 && error == 0)
        complain(report, "failed without errno, status %d", result->status);
    switch (result->status) {
    case HAPPY_OK:
        if (result->gai_error != 0 || result->sys_errno != 0)
            complain(report, "succeeded with gai_error %d, sys_errno %d", result->gai_error, result->sys_errno);
        judge_socket(fd, report);
        break;
    case HAPPY_ESYSCALL:
        if (result->sys_errno == 0 || result->syscall == NULL || result->gai_error != 0)
            complain(report, "HAPPY_ESYSCALL with sys_errno %d, syscall %s, gai_error %d", result->sys_errno,
                     result->syscall == NULL ? "NULL" : result->syscall, result->gai_error);
        break;
    case HAPPY_ERESOLVE:
        if (result->gai_error == 0 || (result->gai_error == EAI_SYSTEM) != (result->sys_errno != 0))
            complain(report, "HAPPY_ERESOLVE with gai_error %d, sys_errno %d", result->gai_error, result->sys_errno);
        break;
    case HAPPY_ETIMEOUT:
    case HAPPY_ECANCELLED:
        /* Nobody cancels unless the scenario does; a limit that was set may be reached when the way that answers
         * fails. */
        if (result->status != expected.status && !(weather == FAULTY && result->limit != HAPPY_LIMIT_NONE))
            complain(report, "status %d, %s", result->status, happy_status_str(result->status));
        break;
    default:
        complain(report, "status %d is none that a race may end with", result->status);
    }
    if (weather != FAULTY && (result->status != expected.status || result->gai_error != expected.gai_error ||
                              result->sys_errno != expected.sys_errno))
        complain(report, "status %d, gai_error %d, sys_errno %d (%s), not %d, %d, %d", result->status,
                 result->gai_error, result->sys_errno, result->syscall == NULL ? "" : result->syscall, expected.status,
                 expected.gai_error, expected.sys_errno);
    /* Every attempt has exactly one outcome. */
    uint32_t winners = 0;
    for (uint32_t i = 0; i < result->attempts_count && i < result->attempts_capacity; i++) {
        const happy_attempt *attempt = &result->attempts[i];
        winners += attempt->outcome == HAPPY_OUTCOME_CONNECTED;
        if (attempt->outcome < HAPPY_OUTCOME_CONNECTED || attempt->outcome > HAPPY_OUTCOME_ABANDONED)
            complain(report, "attempt %u ended with outcome %d", i, attempt->outcome);
        if (attempt->outcome == HAPPY_OUTCOME_FAILED && (attempt->sys_errno == 0 || attempt->syscall == NULL))
            complain(report, "attempt %u failed without errno or system call", i);
    }
    if (winners != (result->status == HAPPY_OK))
        complain(report, "status %d with %u winners", result->status, winners);
}

void judge_lookup(int answer, int error, struct addrinfo *list, int expected, int expected_errno, enum weather weather,
                  struct report *report)
{
    if (answer == 0) {
        if (list == NULL)
            complain(report, "succeeded without a list");
        int count = 0;
        for (const struct addrinfo *entry = list; entry != NULL; entry = entry->ai_next)
            count += entry->ai_addr != NULL && (entry->ai_family == AF_INET || entry->ai_family == AF_INET6);
        /* What a fault has hidden of one family is missing. */
        if (count != 2 && !(weather == FAULTY && count == 1))
            complain(report, "%d addresses, not 2", count);
        if (list != NULL)
            freeaddrinfo(list);
    } else if (list != NULL) {
        complain(report, "ret_res was written with answer %d", answer);
    } else if (answer == EAI_SYSTEM && error == 0) {
        complain(report, "EAI_SYSTEM without errno");
    } else if (answer != EAI_SYSTEM && (answer < -104 || answer >= 0)) {
        complain(report, "answer %d is none of getaddrinfo's", answer);
    }
    if (weather != FAULTY && (answer != expected || (answer == EAI_SYSTEM && error != expected_errno)))
        complain(report, "answer %d (errno %d), not %d (%d)", answer, error, expected, expected_errno);
}

int32_t ample(enum weather weather)
{
    return weather == FAULTY ? 200 : 8000;
}
