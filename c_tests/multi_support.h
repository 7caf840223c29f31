/* What the tests of happy_multi share: connects that keep how they ended, and the server that they connect to. */
#ifndef MULTI_SUPPORT_H
#define MULTI_SUPPORT_H

#include "support.h"

/* A connect of a test, and how it ended. */
struct entry {
    uint64_t id;
    int ended, status, sys_errno, family;
    uint32_t attempts;
    char syscall[32];
    /* Done from inside the done callback. */
    void (*then)(happy_multi *multi, struct entry *entry);
    struct entry *other;
    void *context;
};

/* The done callback of all that follow, whose userdata is the entry: checks the result, notes it, closes the socket. */
void done(happy_multi *multi, uint64_t id, const happy_result *result, void *userdata);

/* Adds a connect; the first answers what happy_multi_add does, the second checks that it is accepted. */
int add_with(happy_multi *multi, const char *host, int port, const happy_options *options, struct entry *entry);
void add(happy_multi *multi, const char *host, int port, struct entry *entry);

/* Drives a handle until so many of its connects are left. */
void drive_until(happy_multi *multi, int left);

/* A lookup that was given up uses its script until it ends: it is waited for, and such scripts are static. */
void wait_for_userdata_frees(const struct script *script, int count);

/* A port of ::1 and 127.0.0.1 on which the group's set-up listens, until its tear-down. */
extern int dual_port;
int open_servers(void **state);
int close_servers(void **state);

#endif
