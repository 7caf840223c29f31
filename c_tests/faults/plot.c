#include "plot.h"

#include <math.h>
#include <stdio.h>

#define WIDTH 900
#define PANEL 150
#define LEFT 80
#define TOP 50

struct quantity {
    const char *name;
    size_t offset;
    const char *colour;
};

static double value(const struct sample *sample, size_t offset)
{
    return *(const double *)((const char *)sample + offset);
}

static void panel(FILE *file, const struct quantity *quantity, const struct sample *samples, size_t count, double top)
{
    double most = 0, end = samples[count - 1].seconds > 0 ? samples[count - 1].seconds : 1;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, value(&samples[i], quantity->offset));
    /* The axis begins at 0: flat has to look flat. */
    most = most > 0 ? most * 1.1 : 1;
    fprintf(file, "<text x='%d' y='%.0f' font-weight='bold'>%s</text>\n", LEFT, top - 6, quantity->name);
    for (int i = 0; i <= 2; i++) {
        double y = top + (PANEL - 40) * (1 - i / 2.0);
        fprintf(file, "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='#ddd'/><text x='%d' y='%.1f' text-anchor='end'>%.4g</text>\n",
                LEFT, y, WIDTH - 20, y, LEFT - 6, y + 4, most * i / 2);
    }
    fprintf(file, "<polyline fill='none' stroke='%s' stroke-width='1.5' points='", quantity->colour);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%.1f,%.1f ", LEFT + (WIDTH - 20 - LEFT) * samples[i].seconds / end,
                top + (PANEL - 40) * (1 - value(&samples[i], quantity->offset) / most));
    fprintf(file, "'/>\n");
}

bool plot(const char *path, const struct sample *samples, size_t count, const char *title)
{
    static const struct quantity quantities[] = {
        {"resident memory, MiB", offsetof(struct sample, resident_mib), "#1f77b4"},
        {"allocated by the library, KiB", offsetof(struct sample, allocated_kib), "#d62728"},
        {"descriptors", offsetof(struct sample, descriptors), "#2ca02c"},
        {"threads", offsetof(struct sample, threads), "#9467bd"},
    };
    enum { QUANTITIES = sizeof quantities / sizeof *quantities };
    FILE *file = fopen(path, "we");
    if (file == NULL || count == 0)
        return false;
    int height = TOP + QUANTITIES * PANEL + 10;
    fprintf(file, "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' font-family='sans-serif' font-size='12'>\n", WIDTH, height);
    fprintf(file, "<rect width='100%%' height='100%%' fill='white'/><text x='%d' y='20' font-size='15'>%s</text>\n", LEFT, title);
    for (int i = 0; i < QUANTITIES; i++)
        panel(file, &quantities[i], samples, count, TOP + i * PANEL + 10);
    fprintf(file, "<text x='%d' y='%d' text-anchor='end'>%.0f s</text></svg>\n", WIDTH - 20, height - 12, samples[count - 1].seconds);
    return fclose(file) == 0;
}
