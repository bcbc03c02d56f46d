/* main.c - kurird: options, privileges, run. */
int main(void)
{
	return 0;
}
