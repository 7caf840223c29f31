/* What the library is put through: each scenario is one use of it, from start to end, that judges its own answer. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include "world.h"

/* What a scenario may assume. */
enum weather {
    FINE,     /* nothing fails: exactly the answer of a sound machine */
    SURVIVES, /* something fails that must not show: the same answer */
    FAULTY    /* something fails: that answer, or another that is documented and true */
};

/* What open, read and statx fail at. */
enum configuration {
    INCIDENTAL, /* files without which the answer is the same */
    DECISIVE,   /* the system's configuration: without it another answer may be the true one */
    SPARED      /* the same, but it is not made to fail: libc would be asked instead, and wait for a silent server for seconds */
};

struct scenario {
    const char *name;
    void (*run)(const struct world *world, enum weather weather, struct report *report);
    /* It has a second way to connect: one failure of socket, connect, getsockopt or ioctl must not show. */
    bool second_way;
    enum configuration configuration;
};

/* The scenarios of one subject, each group in a file of its name. */
struct scenario_group {
    const struct scenario *scenarios;
    size_t count;
};
extern const struct scenario_group connect_scenarios, lookup_scenarios, multi_scenarios, confirm_scenarios;

/* All of them, in the order of the groups: how many, and the one at a place, NULL past the last. */
size_t scenarios_count(void);
const struct scenario *scenario_at(size_t place);

/* Starts what the scenarios need beside the world, and says in it which names they use. */
void scenarios_begin(struct world *world);

/* For the groups: the head of a scenario's function, and its entry in the group. */
#define SCENARIO(name) static void name(const struct world *world, enum weather weather, struct report *report)
#define ENTRY(name, second_way) {#name, name, second_way, INCIDENTAL}
#define ENTRY_OF_CLIENT(name, configuration) {#name, name, false, configuration}

#endif
