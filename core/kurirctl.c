/* kurirctl.c - asks a running server, and answers what it can without one. */
int main(void)
{
	return 0;
}
