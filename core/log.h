/* log.h - where the lines go.  Trouble with the log never stops mail: what cannot be
 * written is counted and dropped. */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <kurir/module.h>

enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_JOURNALD };
enum log_format { LOG_AS_TEXT, LOG_AS_JSON };

/* Opens the sink (before the sandbox closes the way to it).  On failure lines go to stderr. */
int log_open(enum log_target, enum log_format, enum kurir_level least);
/* Who this process is, in every line: "edge-0". */
void log_set_role(const char *name);
bool log_wants(enum kurir_level);
/* Lines wait for the end of the loop's round; those of WARN and above do not. */
void log_flush(void);
/* Every line also goes here, without its LF (kurirctl log -f, tests); NULL: nowhere. */
void log_set_tap(void (*tap)(enum kurir_level, struct kurir_str line));
/* One finished line: name is the instance or "kurird", label the session or empty; event and the
 * fields may be absent. */
struct log_line {
	enum kurir_level level;
	const char *name, *event;
	struct kurir_str label, text;
	const struct kurir_field *fields;
	size_t count;
};
void log_write(const struct log_line *);

#endif
