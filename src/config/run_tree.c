#include "config/run_tree.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/unknown_key.h"
#include "core/log.h"

enum {
    MOST_DEPTH = 16,  /* far more than any key needs; libyaml takes squared time for depth */
    PATH_BYTES = 160, /* a key that is cut is longer than any that is known */
    FOUND_BYTES = 80,
    PLACE_BYTES = 1024
};

/* Copies text that may hold anything, as much as fits, with '?' for control bytes. */
static void copy_visible(char *to, size_t size, const yaml_char_t *from, size_t bytes)
{
    size_t n = 0;
    for (; n < bytes && n < size - 1; n++)
        to[n] = from[n] < ' ' || from[n] == 127 ? '?' : (char)from[n];
    if (n < bytes) /* not in the middle of a character */
        while (n > 0 && (from[n] & 0xC0) == 0x80) n--;
    to[n] = '\0';
}

char *run_tree_place(const run_value *value, const char *name, char *text, size_t size)
{
    const run_source *source = value->source;
    if (source->set && (!name || !strcmp(source->set, name)))
        snprintf(text, size, "--set %s", source->set);
    else if (source->set)
        snprintf(text, size, "--set %s: %s", source->set, name);
    else
        snprintf(text, size, "%s:%d%s%s", source->file, value->line, name ? ": " : "",
                 name ? name : "");
    return text;
}

soda_status run_tree_refuse(const run_value *value, const char *name, const char *expected)
{
    char place[PLACE_BYTES], found[FOUND_BYTES] = "nothing";
    const yaml_node_t *node = value->node;
    run_tree_place(value, name, place, sizeof place);
    if (node && node->type == YAML_SEQUENCE_NODE) snprintf(found, sizeof found, "a list");
    if (node && node->type == YAML_MAPPING_NODE) snprintf(found, sizeof found, "a mapping");
    if (!node || node->type != YAML_SCALAR_NODE)
        return FAIL(SODA_ERR_INPUT, "%s: expected %s, found %s", place, expected, found);

    const bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (node->data.scalar.length || !plain)
        copy_visible(found, sizeof found, node->data.scalar.value, node->data.scalar.length);
    const char *quote = plain ? "" : "\"";
    const char *cut = node->data.scalar.length >= sizeof found ? "..." : "";
    return FAIL(SODA_ERR_INPUT, "%s: expected %s, found %s%s%s%s", place, expected, quote, found,
                cut, quote);
}

run_value run_tree_child(const run_value *value, yaml_node_item_t item)
{
    const yaml_node_t *node = yaml_document_get_node(&value->source->document, item);
    return (run_value){value->source, node, (int)node->start_mark.line + 1};
}

const char *run_tree_scalar(const run_value *value)
{
    if (!value->node || value->node->type != YAML_SCALAR_NODE) return NULL;
    const char *text = (const char *)value->node->data.scalar.value;
    return strlen(text) == value->node->data.scalar.length ? text : NULL;
}

const char *run_tree_plain(const run_value *value)
{
    const char *text = run_tree_scalar(value);
    return text && value->node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? text : NULL;
}

bool run_tree_is_null(const run_value *value)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    const char *text = run_tree_plain(value);
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (!strcmp(text, words[i])) return true;
    return !value->node;
}

const run_value *run_tree_given(const run_tree *tree, const char *name)
{
    const run_value *value = &tree->value[run_keys_find(name)];
    return value->source == tree->sources ? NULL : value;
}

/* Whether what libyaml refused is a tab, before which its line has ASCII alone. */
static bool is_tab(const yaml_parser_t *parser, const char *text)
{
    for (size_t i = 0; text && i < parser->problem_mark.line; i++) {
        text = strchr(text, '\n');
        if (text) text++;
    }
    return parser->error == YAML_SCANNER_ERROR && text &&
           parser->problem_mark.column < strlen(text) && text[parser->problem_mark.column] == '\t';
}

/* Records what libyaml says is wrong. What its reader refuses, control characters and bytes that
 * are not UTF-8, has an offset only. */
static soda_status refuse_syntax(const yaml_parser_t *parser, run_source *source, const char *text)
{
    run_value at = {.source = source, .line = (int)parser->problem_mark.line + 1};
    char place[PLACE_BYTES];
    if (parser->error == YAML_MEMORY_ERROR)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory while parsing YAML",
                    source->file ? source->file : "--set");
    if (parser->error == YAML_READER_ERROR) {
        at.line = 1;
        for (size_t i = 0; i < parser->problem_offset; i++) at.line += text[i] == '\n';
    }
    return FAIL(SODA_ERR_INPUT, "%s: not valid YAML: %s%s%s%s",
                run_tree_place(&at, NULL, place, sizeof place), parser->problem,
                parser->context ? " " : "", parser->context ? parser->context : "",
                is_tab(parser, text) ? ": a tab; YAML is indented with spaces" : "");
}

/* What one event adds to the depth of nesting, and its tag. */
static int nesting(const yaml_event_t *event, const yaml_char_t **tag)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: *tag = event->data.scalar.tag; return 0;
    case YAML_SEQUENCE_START_EVENT: *tag = event->data.sequence_start.tag; return 1;
    case YAML_MAPPING_START_EVENT: *tag = event->data.mapping_start.tag; return 1;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return -1;
    default: return 0;
    }
}

/* Refuses what no configuration has: several documents, tags, deep nesting. */
static soda_status check_event(const yaml_event_t *event, run_source *source, int *documents,
                               int *depth)
{
    const run_value at = {.source = source, .line = (int)event->start_mark.line + 1};
    const yaml_char_t *tag = NULL;
    char place[PLACE_BYTES];
    run_tree_place(&at, NULL, place, sizeof place);
    *depth += nesting(event, &tag);
    *documents += event->type == YAML_DOCUMENT_START_EVENT;
    if (*depth > MOST_DEPTH)
        return FAIL(SODA_ERR_INPUT, "%s: expected at most %d levels of nesting, found more", place,
                    MOST_DEPTH);
    if (*documents > 1)
        return FAIL(SODA_ERR_INPUT, "%s: expected one YAML document, found a second", place);
    if (tag)
        return FAIL(SODA_ERR_INPUT, "%s: expected no tags, found %.60s", place, (const char *)tag);
    return SODA_OK;
}

static soda_status start_parser(yaml_parser_t *parser, const char *text, size_t bytes)
{
    if (!yaml_parser_initialize(parser))
        return FAIL(SODA_ERR_MEMORY, "out of memory for a YAML parser");
    yaml_parser_set_input_string(parser, (const unsigned char *)text, bytes);
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    return SODA_OK;
}

/* Goes through the text without keeping it. */
static soda_status check_events(run_source *source, const char *text, size_t bytes)
{
    yaml_parser_t parser;
    soda_status s = SODA_OK;
    int documents = 0, depth = 0;
    TRY(start_parser(&parser, text, bytes));
    for (bool more = true; more && s == SODA_OK;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            s = refuse_syntax(&parser, source, text);
            break;
        }
        s = check_event(&event, source, &documents, &depth);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return s;
}

/* Reads the document; *root has no node if there is none. */
static soda_status load(run_source *source, const char *text, size_t bytes, run_value *root)
{
    yaml_parser_t parser;
    soda_status s = SODA_OK;
    TRY(start_parser(&parser, text, bytes));
    if (!yaml_parser_load(&parser, &source->document)) s = refuse_syntax(&parser, source, text);
    yaml_parser_delete(&parser);
    if (s != SODA_OK) return s;
    *root = (run_value){source, yaml_document_get_root_node(&source->document), 1};
    if (root->node) root->line = (int)root->node->start_mark.line + 1;
    return SODA_OK;
}

static soda_status check_and_load(run_source *source, const char *text, size_t bytes,
                                  run_value *root)
{
    TRY(check_events(source, text, bytes));
    return load(source, text, bytes, root);
}

static soda_status refuse_repeated(const run_value *value, const char *name, int line)
{
    char place[PLACE_BYTES];
    return FAIL(SODA_ERR_INPUT, "%s: expected the key once, found it on line %d too",
                run_tree_place(value, name, place, sizeof place), line);
}

/* Keeps the value of key `name`; a section is taken_mapping's. */
static soda_status take_key(run_tree *tree, const char *name, const run_value *value)
{
    const char *now = run_keys_renamed(name);
    const int row = run_keys_find(now ? now : name);
    char place[PLACE_BYTES];
    if (row < 0) return unknown_key_refuse(value, name);
    if (now)
        log_warning("%s has been renamed to %s; the old name still works",
                    run_tree_place(value, name, place, sizeof place), now);
    run_value *kept = &tree->value[row];
    if (kept->source == value->source) return refuse_repeated(value, name, kept->line);
    *kept = *value;
    return SODA_OK;
}

/* Takes what stands below a section, or in the whole document if `section` is "". */
static soda_status take_mapping(run_tree *tree, const char *section, const run_value *mapping)
{
    const char *own_name = section[0] ? section : NULL;
    if (own_name && run_tree_is_null(mapping)) return SODA_OK;
    if (!mapping->node || mapping->node->type != YAML_MAPPING_NODE)
        return run_tree_refuse(mapping, own_name, "a mapping of keys");
    const yaml_node_pair_t *first = mapping->node->data.mapping.pairs.start;
    for (const yaml_node_pair_t *p = first; p < mapping->node->data.mapping.pairs.top; p++) {
        const run_value key = run_tree_child(mapping, p->key);
        const char *text = run_tree_scalar(&key);
        if (!text) return run_tree_refuse(&key, own_name, "the name of a key");
        char name[PATH_BYTES];
        const int used = snprintf(name, sizeof name, "%s%s", section, own_name ? "." : "");
        copy_visible(name + used, sizeof name - (size_t)used, (const yaml_char_t *)text,
                     strlen(text));
        run_value value = run_tree_child(mapping, p->value);
        value.line = key.line;
        for (const yaml_node_pair_t *q = first; q < p; q++) { /* few: all of them are known */
            const run_value before = run_tree_child(mapping, q->key);
            if (!strcmp(run_tree_scalar(&before), text))
                return refuse_repeated(&value, name, before.line);
        }
        if (run_keys_is_section(name))
            TRY(take_mapping(tree, name, &value));
        else
            TRY(take_key(tree, name, &value));
    }
    return SODA_OK;
}

/* Applies "a.b=value". A section that is set loses what the file says below it. */
static soda_status take_set(run_tree *tree, run_source *source, const char *set)
{
    const char *equals = strchr(set, '=');
    run_value value = {0};
    if (!equals || equals == set)
        return FAIL(SODA_ERR_USAGE, "--set %s: expected KEY=VALUE, found no %s", set,
                    equals ? "key" : "'='");
    source->set = strndup(set, (size_t)(equals - set));
    if (!source->set) return FAIL(SODA_ERR_MEMORY, "--set %s: out of memory", set);
    TRY(check_and_load(source, equals + 1, strlen(equals + 1), &value));
    if (!run_keys_is_section(source->set)) return take_key(tree, source->set, &value);
    const size_t length = strlen(source->set);
    for (int i = 0; i < RUN_KEYS; i++)
        if (!strncmp(run_keys[i].name, source->set, length) && run_keys[i].name[length] == '.')
            tree->value[i] = tree->fallback[i];
    return take_mapping(tree, source->set, &value);
}

soda_status run_tree_read(run_tree *tree, const char *text, size_t bytes, const char *file,
                          const char *const *sets, int set_count)
{
    run_value root;
    tree->sources = calloc((size_t)set_count + 2, sizeof *tree->sources);
    if (!tree->sources) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", file);
    tree->source_count = set_count + 2;
    tree->sources[0].file = "run_config.def";
    tree->sources[1].file = file;
    TRY(load(&tree->sources[0], run_keys_defaults, strlen(run_keys_defaults), &root));
    TRY(take_mapping(tree, "", &root));
    memcpy(tree->fallback, tree->value, sizeof tree->value);
    TRY(check_and_load(&tree->sources[1], text, bytes, &root));
    TRY(take_mapping(tree, "", &root));
    for (int i = 0; i < set_count; i++) TRY(take_set(tree, &tree->sources[2 + i], sets[i]));
    return SODA_OK;
}

void run_tree_free(run_tree *tree)
{
    for (int i = 0; i < tree->source_count; i++) {
        free(tree->sources[i].set);
        yaml_document_delete(&tree->sources[i].document);
    }
    free(tree->sources);
    *tree = (run_tree){0};
}
