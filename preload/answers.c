#define _GNU_SOURCE
#include "answers.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

/* Answers that are kept; the oldest makes room. */
#define ANSWERS 64
/* A host name has 253 characters at most (RFC 1035, section 2.3.4), a service's name 15 (RFC 6335, section 5.1). */
#define QUESTION_LENGTH 280

typedef struct {
    /* The question: host, service and family, each with a zero byte. */
    char question[QUESTION_LENGTH];
    size_t question_length;
    internet_address addresses[ANSWER_ADDRESSES];
    size_t count;
    /* The greater the later; 0: nothing here. */
    unsigned long number;
} answer;

static answer answers[ANSWERS];
static unsigned long latest;
/*
 * Held with all signals blocked, so that a signal handler that calls connect(2) never finds it held by the thread that it
 * interrupts; and over a fork, so that the child never finds it held by a thread that it has not got.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void
take_lock(sigset_t *ret_signals)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, ret_signals);
    pthread_mutex_lock(&lock);
}

static void
give_lock(const sigset_t *signals)
{
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, signals, NULL);
}

static sigset_t signals_before_fork;

static void
before_fork(void)
{
    sigset_t signals;

    take_lock(&signals);
    signals_before_fork = signals;
}

static void
after_fork(void)
{
    sigset_t signals = signals_before_fork;

    give_lock(&signals);
}

__attribute__((constructor)) static void
watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

socklen_t
internet_address_read(const struct sockaddr *address, socklen_t length, internet_address *ret_address)
{
    socklen_t wanted;

    if (!address || length < (socklen_t)sizeof address->sa_family) return 0;
    switch (address->sa_family) {
      case AF_INET: wanted = sizeof(struct sockaddr_in); break;
      case AF_INET6: wanted = sizeof(struct sockaddr_in6); break;
      default: return 0;
    }
    if (length < wanted) return 0;
    memset(ret_address, 0, sizeof *ret_address);
    memcpy(ret_address, address, wanted);
    return wanted;
}

static in_port_t *
port_of(internet_address *address)
{
    return address->any.sa_family == AF_INET ? &address->v4.sin_port : &address->v6.sin6_port;
}

/* A program that has asked for no service gets the port 0, and puts its own there: wget does. */
static bool
is_same(const internet_address *kept, const internet_address *address)
{
    if (kept->any.sa_family != address->any.sa_family) return false;
    if (kept->any.sa_family == AF_INET) {
        return (kept->v4.sin_port == 0 || kept->v4.sin_port == address->v4.sin_port) &&
               kept->v4.sin_addr.s_addr == address->v4.sin_addr.s_addr;
    }
    return (kept->v6.sin6_port == 0 || kept->v6.sin6_port == address->v6.sin6_port) &&
           kept->v6.sin6_scope_id == address->v6.sin6_scope_id &&
           memcmp(&kept->v6.sin6_addr, &address->v6.sin6_addr, sizeof kept->v6.sin6_addr) == 0;
}

/* Where the address stands in the answer; `count` where it does not. */
static size_t
find_in(const answer *where, const internet_address *address)
{
    size_t index = 0;

    while (index < where->count && !is_same(&where->addresses[index], address)) index++;
    return index;
}

/* Each address once: a list has a node for each type of socket too. */
static void
read_list(const struct addrinfo *list, answer *ret_answer)
{
    for (; list && ret_answer->count < ANSWER_ADDRESSES; list = list->ai_next) {
        internet_address *address = &ret_answer->addresses[ret_answer->count];

        if (!internet_address_read(list->ai_addr, list->ai_addrlen, address)) continue;
        if (find_in(ret_answer, address) == ret_answer->count) ret_answer->count++;
    }
}

static bool
append(answer *to, const void *bytes, size_t length)
{
    if (length > sizeof to->question - to->question_length) return false;
    memcpy(to->question + to->question_length, bytes, length);
    to->question_length += length;
    return true;
}

void
answers_keep(const char *node, const char *service, int family, const struct addrinfo *list)
{
    answer made = {.count = 0};
    answer *place = answers;
    sigset_t signals;

    if (!service) service = "";
    if (!append(&made, node, strlen(node) + 1) || !append(&made, service, strlen(service) + 1) ||
        !append(&made, &family, sizeof family)) {
        return;
    }
    read_list(list, &made);
    take_lock(&signals);
    for (answer *one = answers; one < answers + ANSWERS; one++) {
        if (one->question_length == made.question_length && memcmp(one->question, made.question, made.question_length) == 0) {
            place = one;
            break;
        }
        if (one->number < place->number) place = one;
    }
    made.number = ++latest;
    *place = made;
    give_lock(&signals);
}

/* Whether every answer that has `address` has `other` too. */
static bool
stand_together(const internet_address *address, const internet_address *other)
{
    for (const answer *one = answers; one < answers + ANSWERS; one++) {
        if (find_in(one, address) < one->count && find_in(one, other) == one->count) return false;
    }
    return true;
}

size_t
answers_find_others(const internet_address *address, internet_address *ret_others)
{
    const answer *found = NULL;
    size_t count = 0;
    sigset_t signals;

    take_lock(&signals);
    for (const answer *one = answers; one < answers + ANSWERS; one++) {
        if (find_in(one, address) < one->count && (!found || found->number < one->number)) found = one;
    }
    if (found) {
        for (size_t index = find_in(found, address) + 1; index < found->count; index++) {
            internet_address other = found->addresses[index];

            *port_of(&other) = address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port;
            if (stand_together(address, &other)) ret_others[count++] = other;
        }
    }
    give_lock(&signals);
    return count;
}
