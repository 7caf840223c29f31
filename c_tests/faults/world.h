/* What every program here stands on: servers on the loopback, a count of what a process holds, children with a time limit,
 * progress and the closing line. */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Names, and ports as strings, the same number in both families. */
struct world {
    const char *dual;   /* ::1 and 127.0.0.1; dual.test unless a program says otherwise */
    const char *slow;   /* the same, after a while; slow.test unless a program says otherwise */
    bool own_client;    /* the names are a name server's, and the library looks them up by itself */
    const char *stuck;  /* no answer until the lookups are released; NULL, for stuck_name(), unless a program says otherwise */
    char live[8];       /* both families accept, and send one byte */
    char v6_refused[8]; /* as live on IPv4; nobody listens on IPv6 */
    char refused[8];    /* nobody listens */
    char v6_silent[8];  /* as live on IPv4; IPv6 never answers */
    char silent[8];     /* neither family ever answers */
};

/* Makes a private network namespace if the system allows it, and a server process in it, which ends with this process. */
void world_begin(struct world *ret_world);

/* A name that libc hangs at until the lookups are released, another one each time: equal names are asked for once, and a worker
 * that has come back from libc with the answer to the last one may not have told it yet. Until the next call. */
const char *stuck_name(void);

/* What this process holds. */
struct census {
    int descriptors;
    int threads;
    size_t bytes; /* resident */
};
struct census census(void);

double seconds_now(void);

/* True once `descriptors` and, unless negative, `threads` are at most this; false after five seconds of more. */
bool settles(int descriptors, int threads);

/* Reads the server's byte from a connected socket within five seconds and closes it without leaving TIME_WAIT. */
bool server_answers(int fd);

/* What a child leaves behind. In memory that is shared with the parent. */
struct report {
    bool fired;
    bool skipped;
    unsigned calls;
    double value;
    int killed_by; /* the signal that ended the child, or 0 */
    char message[400];
};

/* In a child: says what is wrong, in the manner of printf; the first message stays. */
__attribute__((format(printf, 2, 3))) void complain(struct report *report, const char *format, ...);

/* Runs `body` in a child for at most `limit` seconds. Whatever ends the child other than its return is complained about. */
void in_child(struct report *report, double limit, void (*body)(struct report *, void *), void *argument);

/* Counts one check and prints its message if it failed. */
void judge(const struct report *report, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Says how far it is, on a terminal at most ten times a second, elsewhere each five seconds. */
void progress(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The closing lines; returns the exit status of the program. */
int summary(const char *what);

uint64_t random_next(uint64_t *state);

#endif
