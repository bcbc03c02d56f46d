/* story.h - events as text: "kurirctl explain" and "kurirctl log". */
#ifndef CORE_STORY_H
#define CORE_STORY_H

#include <jansson.h>
#include <kurir/module.h>

void story_day(struct kurir_buf *, const json_t *event); /* "2026-11-23, UTC" */
void story_line(struct kurir_buf *, const json_t *event);
/* What a terminal would take for more than text becomes "?": control characters but these. */
void story_clean(struct kurir_buf *, size_t from, const char *but);
void story_span(struct kurir_buf *, uint64_t ms); /* "1.5 h" */

#endif
