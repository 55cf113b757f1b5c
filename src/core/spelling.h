/* spelling.h: how alike two words are, for "did you mean". */
#pragma once

enum {
    SPELLING_BYTES = 80, /* what lies behind is not compared */
    SPELLING_ALIKE = 2   /* the largest distance of a word from what is probably meant */
};

/* How many bytes to insert, delete or replace: Wagner & Fischer, J. ACM 21 (1974). */
int spelling_distance(const char *a, const char *b);
