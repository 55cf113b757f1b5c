/* plugin.h: a backend in a shared library that the program loads on demand (backend_open_cuda).
 *
 * The library links to the functions that the program exports, and both read the same headers of
 * src/, so they must be of one build: PLUGIN_BUILD is a hash of those headers. */
#pragma once

#include "backend/backend.h"

/* Counts up when the first two members of backend_plugin change. */
enum { PLUGIN_ABI = 1 };

/* The device that a rank works on. */
typedef struct {
    char model[96];   /* "NVIDIA H100 80GB HBM3" */
    char address[32]; /* differs between the devices of a node: "0000:1B:00.0" */
    int number;       /* among those that this process may use */
    int shown;        /* how many these are */
} plugin_device;

typedef struct {
    int abi;
    const char *build; /* PLUGIN_BUILD */
    /* Opens device number `rank` of this node, counted round. Local. SODA_ERR_UNSUPPORTED says why
     * there is none to work with. One at a time; soda_backend.close closes it. */
    soda_status (*open)(int rank, plugin_device *device, const soda_backend **backend);
} backend_plugin;

/* The name of the library's one symbol, a backend_plugin. */
#define PLUGIN_SYMBOL "soda_backend_plugin"
