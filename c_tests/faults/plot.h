/* The picture of a soak: what a process held, over time. */
#ifndef PLOT_H
#define PLOT_H

#include <stdbool.h>
#include <stddef.h>

struct sample {
    double seconds;
    double resident_mib;  /* of the process */
    double allocated_kib; /* by the library, and not freed */
    double descriptors;
    double threads;
};

/* Writes one panel a quantity as SVG; false with errno. */
bool plot(const char *path, const struct sample *samples, size_t count, const char *title);

#endif
