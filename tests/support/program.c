#include "support/program.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "support/check.h"

char program_output[1 << 16];

int program_run(const char *folder, const char *format, ...)
{
    char line[8192];
    int used = snprintf(line, sizeof line,
                        "soda() { " SODA_PROGRAM " \"$@\"; }; exec 2>&1; cd %s && ", folder);
    va_list args;
    va_start(args, format);
    used += vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    assert_true((size_t)used < sizeof line);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    const size_t n = fread(program_output, 1, sizeof program_output - 1, pipe);
    program_output[n] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void program_expect(int code, int want, const char *part)
{
    if (code == want && strstr(program_output, part)) return;
    fail_msg("exit %d, wanted %d with \"%s\":\n%s", code, want, part, program_output);
}
