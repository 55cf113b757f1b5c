/* Order of accesses by work in different streams, as vector clocks: Mattern, "Virtual Time and
 * Global States of Distributed Systems", 1989. */
#include "order.h"

#include <string.h>

enum { SECTOR = 32, READERS = 3, NAMES = 4096, NOBODY = 0xff };

struct sim_sector { /* who wrote it last, and who has read it since: line and number */
    uint32_t write, read[READERS];
    uint8_t writer, reader[READERS];
};

bool sim_order_on;
sim_past sim_host_past;
static uint32_t taken[SIM_LINES];       /* numbers of each line */
static bool in_use[SIM_LINES] = {true}; /* 0: the default stream's */
static struct {
    uint32_t number;
    const char *what;
} names[SIM_LINES][NAMES]; /* of each line's last pieces */
static const sim_piece *now;

int sim_line_new(void)
{
    for (int l = 0; l < SIM_LINES; l++) {
        if (in_use[l]) continue;
        in_use[l] = true;
        return l;
    }
    sim_die("more than %d streams and branches of graphs", SIM_LINES);
}

void sim_line_free(int line) { in_use[line] = false; }

void sim_past_join(sim_past *past, const sim_past *other)
{
    for (int l = 0; l < SIM_LINES; l++)
        if (past->until[l] < other->until[l]) past->until[l] = other->until[l];
}

void sim_past_all(sim_past *past) { memcpy(past->until, taken, sizeof taken); }

uint32_t sim_line_take(int line, uint32_t count)
{
    const uint32_t before = taken[line];
    taken[line] += count;
    return before;
}

void sim_piece_run(const sim_piece *piece, void (*run)(void *), void *context, const char *what)
{
    const sim_piece *outer = now;
    now = piece;
    names[piece->line][piece->number % NAMES].number = piece->number;
    names[piece->line][piece->number % NAMES].what = what;
    run(context);
    now = outer;
}

const sim_piece *sim_piece_now(void) { return now; }

void sim_order_streams(size_t count) { sim_order_on |= count > 1 && sim_option()->check; }

static bool is_past(int line, uint32_t number)
{
    return line == now->line || number <= now->past.until[line];
}

static _Noreturn void unordered(const sim_memory *m, size_t sector, bool write, int line,
                                uint32_t number, bool other_write)
{
    const char *name = names[line][number % NAMES].number == number
                           ? names[line][number % NAMES].what
                           : "earlier work";
    sim_die("no event orders two streams: %s of offset %zu of allocation #%u of %zu bytes by %s in "
            "stream %d, %s by %s in stream %d",
            write ? "write" : "read", sector * SECTOR, m->id, m->size,
            names[now->line][now->number % NAMES].what, now->line, other_write ? "written" : "read",
            name, line);
}

static void check(const sim_memory *m, size_t index, bool write)
{
    const struct sim_sector *s = &m->sectors[index];
    if (s->writer != NOBODY && !is_past(s->writer, s->write))
        unordered(m, index, write, s->writer, s->write, true);
    for (int r = 0; write && r < READERS; r++)
        if (s->reader[r] != NOBODY && !is_past(s->reader[r], s->read[r]))
            unordered(m, index, write, s->reader[r], s->read[r], false);
}

/* A reader that is ordered before this one need not be remembered: who is ordered after this one is
 * ordered after both. */
static void note_reader(struct sim_sector *s)
{
    int place = 0;
    for (int r = READERS - 1; r >= 0; r--)
        if (s->reader[r] == NOBODY || is_past(s->reader[r], s->read[r])) {
            s->reader[r] = NOBODY;
            place = r;
        }
    s->reader[place] = (uint8_t)now->line;
    s->read[place] = now->number;
}

static void touch(const sim_memory *m, size_t index, bool write)
{
    struct sim_sector *s = &m->sectors[index];
    if (s->writer == now->line && s->write == now->number) return;
    if (!write && s->reader[0] == now->line && s->read[0] == now->number) return;
    check(m, index, write);
    if (!write) {
        note_reader(s);
        return;
    }
    s->writer = (uint8_t)now->line;
    s->write = now->number;
    memset(s->reader, NOBODY, sizeof s->reader);
}

void sim_order_touch(sim_memory *m, size_t offset, size_t n, bool write)
{
    if (!now || !n) return;
    const size_t all = m->size / SECTOR + 1;
    if (!m->sectors) {
        m->sectors = sim_alloc(all * sizeof *m->sectors);
        for (size_t i = 0; i < all; i++)
            memset(&m->sectors[i].writer, NOBODY, 1 + sizeof m->sectors[i].reader);
    }
    for (size_t i = offset / SECTOR; i <= (offset + n - 1) / SECTOR; i++) touch(m, i, write);
}
