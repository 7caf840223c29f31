#include "scenarios.h"

static const struct scenario_group *const groups[] = {&connect_scenarios, &lookup_scenarios, &multi_scenarios,
                                                     &confirm_scenarios};

/* The names are the shim's. */
void scenarios_begin(struct world *world)
{
    (void)world;
}

const struct scenario *scenario_at(size_t place)
{
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        if (place < groups[i]->count)
            return &groups[i]->scenarios[place];
        place -= groups[i]->count;
    }
    return NULL;
}

size_t scenarios_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        count += groups[i]->count;
    return count;
}
