/* smtp_scan.h - the bytes of a message as they come: where it ends, and what is wrong with it. */
#ifndef SMTP_SCAN_H
#define SMTP_SCAN_H

#include <kurir/module.h>

enum {
	SCAN_BARE_CR = 1u << 0,
	SCAN_BARE_LF = 1u << 1,
	SCAN_NUL = 1u << 2,
	SCAN_DOTLINE = 1u << 3, /* a stored line begins with a dot */
	SCAN_8BIT = 1u << 4,
};
#define SCAN_FAULTS (SCAN_BARE_CR | SCAN_BARE_LF | SCAN_NUL)

struct smtp_scan {
	bool dots; /* DATA: dots are stuffed, CRLF.CRLF ends; else every byte counts (BDAT) */
	bool line_start; /* the next byte is the first of a line, after CRLF */
	bool after_cr;	 /* BDAT: the last byte was a CR */
	uint32_t seen;
	uint64_t bytes; /* of runs */
};
enum smtp_scan_result { SCAN_MORE, SCAN_RUN, SCAN_END };

void smtp_scan_start(struct smtp_scan *, bool dots);
/* Takes *ret_used bytes of in: *ret_run (part of in, perhaps empty) belongs to the message.
 * RUN: call again with the rest; MORE: what is left cannot be judged without more bytes;
 * END: that was all. */
enum smtp_scan_result smtp_scan(
    struct smtp_scan *, struct kurir_str in, struct kurir_str *ret_run, size_t *ret_used);
/* Copies run to out (room for 2 * run.len) with every bare CR and LF made CRLF and NULs left out;
 * *state is 0 at the start of a message.  Returns the length. */
size_t smtp_repair(struct kurir_str run, char *state, char *out);

#endif
