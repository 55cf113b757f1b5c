/* program.h: runs the built program as its user does, through a shell. */
#pragma once

/* stdout and stderr of the last run. */
extern char program_output[1 << 16];

/* Runs a shell line in `folder`; "soda" in it is the built program. Returns the exit code. */
int program_run(const char *folder, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Fails the test unless `code` is `want` and the output contains `part`. */
void program_expect(int code, int want, const char *part);
