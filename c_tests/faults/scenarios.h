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

struct scenario {
    const char *name;
    void (*run)(const struct world *world, enum weather weather, struct report *report);
    /* It has a second way to connect: one failure of socket, connect, getsockopt or ioctl must not show. */
    bool second_way;
};

extern const struct scenario scenarios[];
extern const size_t scenarios_count;

#endif
