/* planner.c - runs "kurird --plan" and collects what it says. */
#include "planner.h"
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAN_MAX ((size_t)64 << 20)

struct planner_pipe {
	struct loop_fd fd;
	struct kurir_buf text;
	bool open;
};
static struct planner_pipe out, err;
static pid_t planner;
static int planner_status;
static bool planner_ended;
static planner_done_fn *planner_done;

#define CONTAINER(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

static void planner_check(void)
{
	planner_done_fn *done = planner_done;
	struct kurir_buf said = out.text, complained = err.text;

	if (done == NULL || !planner_ended || out.open || err.open)
		return;
	planner_done = NULL;
	planner = 0;
	/* It may start the next one. */
	done(planner_status, kurir_buf_str(&said), kurir_buf_str(&complained));
	kurir_buf_free(&said);
	kurir_buf_free(&complained);
}

static void planner_ready(struct loop_fd *f, uint32_t events)
{
	struct planner_pipe *p = CONTAINER(f, struct planner_pipe, fd);

	(void)events;
	for (;;) {
		ssize_t n = -1;

		if (kurir_buf_reserve(&p->text, 65536) >= 0)
			n = read(f->fd, p->text.ptr + p->text.len, 65536);
		else
			errno = EFBIG;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			break;
		p->text.len += (size_t)n;
	}
	loop_fd_remove(f);
	(void)close(f->fd);
	p->open = false;
	planner_check();
}

static int planner_pipe(struct planner_pipe *p, int *ret_write)
{
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	p->fd.fd = ends[0];
	p->fd.ready = planner_ready;
	p->text = KURIR_BUF(PLAN_MAX);
	r = loop_fd_add(&p->fd, EPOLLIN | EPOLLET);
	p->open = r >= 0;
	*ret_write = ends[1];
	return r;
}

int planner_start(const char *file, planner_done_fn *done)
{
	const char *args[] = { "-c", file, "--plan", NULL };
	int to_out = -1, to_err = -1, r;

	if (planner_done != NULL)
		return -EBUSY;
	r = planner_pipe(&out, &to_out);
	if (r >= 0)
		r = planner_pipe(&err, &to_err);
	if (r >= 0)
		r = spawn_self(
		    &(struct spawn){
			.args = args, .out = to_out, .err = to_err, .whole_environment = true },
		    &planner);
	if (to_out >= 0)
		(void)close(to_out);
	if (to_err >= 0)
		(void)close(to_err);
	if (r < 0)
		return r;
	planner_done = done;
	planner_ended = false;
	return 0;
}

bool planner_exited(pid_t pid, int status)
{
	if (planner == 0 || pid != planner)
		return false;
	planner_ended = true;
	planner_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	planner_check();
	return true;
}
