#!/usr/bin/env python3
"""A law that cannot fail is none: each is shown one offence in a tree of its own."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
HEADER = "#ifndef {0}_H\n#define {0}_H\n{1}\n#endif\n"
PARKS = "int core_wait(void) KURIR_PARKS;"

# law, what is wrong, file, text, and the words the report must have
SAMPLES = [
    ("banned", "a banned call", "core/x.c", "int f(char *a)\n{\n\treturn atoi(a);\n}\n", "atoi"),
    ("sizes", "a long file", "core/x.c", "\n" * 801, "801 lines"),
    ("sizes", "a long function", "core/x.c",
     "int f(void)\n{\n" + "\tg();\n" * 121 + "}\n", "f() has"),
    ("sizes", "a complex function", "core/x.c",
     "int f(int a)\n{\n" + "\tif (a)\n\t\tg();\n" * 20 + "}\n", "f() has 21"),
    ("sizes", "a core that grows", "core/x.c", None, "core: "),
    ("words", "a wire protocol in the core", "core/x.c", "/* ST" "ARTTLS */\n", "core/x.c:1"),
    ("includes", "a module with a header of the core", "modules/a/a.c",
     '#include "../../core/loop.h"\n', "loop.h"),
    ("includes", "a module with another's header", "modules/a/a.c", '#include "b.h"\n', "b.h"),
    ("includes", "ltdl.h elsewhere", "core/x.c", "#include <ltdl.h>\n", "core/x.c:1"),
    ("includes", "a session's code that knows the admin socket", "core/x.c",
     '#include "control.h"\n', "control.h"),
    ("includes", "a header without a guard", "core/x.h", "int f(void);\n", "core/x.h"),
    ("parks", "a function that parks in secret", "core/x.c",
     PARKS + "\n\nint f(void)\n{\n\treturn core_wait();\n}\n", "f() calls core_wait()"),
    ("parks", "a member that parks in secret", "core/x.c",
     "struct o {\n\tint (*get)(void) KURIR_PARKS;\n};\n\nint f(struct o *o)\n{\n\treturn o->get();\n}\n",
     "f() calls get()"),
    ("headers", "a header that needs another", "include/kurir/x.h",
     HEADER.format("X", "struct x {\n\tuint32_t y;\n};"), "uint32_t"),
    ("headers", "a public header that is no C++", "include/kurir/x.h",
     HEADER.format("X", "int f(int class);"), "g++"),
    ("compile", "a shadowed name", "core/x.c",
     "int f(int a);\nint f(int a)\n{\n\tif (a) {\n\t\tint a = 1;\n\t\treturn a;\n\t}\n\treturn 0;\n}\n",
     "shadow"),
    ("compile", "a lossy conversion in the core", "core/x.c",
     "char f(int a);\nchar f(int a)\n{\n\treturn a;\n}\n", "conversion"),
    ("format", "spaces for tabs", "core/x.c", "int f(void)\n{\n    return 0;\n}\n", "core/x.c"),
    ("format", "a // comment", "core/x.c", "int x; // no\n", "// no"),
    ("capabilities", "a capability that nothing proves", "modules/imap/imap_capability.c",
     "} capabilities[] = {\n\t{ \"X\", ANY, NULL, NULL },\n};\n", "X names no scenario"),
    ("capabilities", "a capability that the manual lacks", "modules/imap/imap_capability.c",
     "} capabilities[] = {\n\t{ \"X\", ANY, NULL, NULL }, /* y */\n};\n", "imap.5: X is missing"),
    ("manuals", "a module without a page", "modules/a/a.c", "\n", "kurir-a.5 is missing"),
    ("manuals", "a page without a heading", "modules/a/kurir-a.5", ".Dt A\n.Nd a\n.Sh EXAMPLE\n",
     "kurir-a.5"),
    ("manuals", "a page that refers to none", "modules/a/kurir-a.5", ".Dt A\n.Nd a\n.Xr kurir-b 5\n", "no kurir-b(5)"),
    ("manuals", "a macro that is none", "modules/a/kurir-a.5", ".Dt A\n.Nd a\n.Qx b\n", "unknown macro"),
]


def prove(law, path, text, words):
    with tempfile.TemporaryDirectory() as root:
        for folder in "core/control", "modules/a", "include/kurir", "doc", "tests":
            os.makedirs(os.path.join(root, folder))
        with open(os.path.join(root, "core/control/control.h"), "w", encoding="utf-8") as f:
            f.write(HEADER.format("CONTROL", ""))
        shutil.copy(os.path.join(TOP, ".clang-format"), root)
        if text is None:
            for n in range(30):
                with open(os.path.join(root, f"core/x{n}.c"), "w", encoding="utf-8") as f:
                    f.write("int x;\n" * 700)
        else:
            if path.startswith("modules/a/") and not path.endswith("a.c"):
                open(os.path.join(root, "modules/a/a.c"), "w", encoding="utf-8").close()
            os.makedirs(os.path.join(root, os.path.dirname(path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as f:
                f.write(text)
        done = subprocess.run([sys.executable, os.path.join(HERE, law + ".py")], text=True,
                              capture_output=True, check=False,
                              env=dict(os.environ, top_srcdir=root, top_builddir=root))
        return "not ok" in done.stdout and words in done.stdout, done.stdout + done.stderr


# what is wrong, the library below the build folder, its source, and the words of the report
LIBRARIES = [
    ("a name no header declares", "core/.libs/libkurir.so", "int kurir_secret(void) { return 0; }",
     "there, not declared: kurir_secret"),
    ("a function nobody wrote", "core/.libs/libkurir.so", "extern int nothing;",
     "declared, not there: kurir_promised"),
    ("a module with two exports", ".libs/a.so",
     "int a_LTX_kurir_module(void) { return 0; } int more(void) { return 0; }", "a exports"),
]


def prove_exports(library, text, words):
    with tempfile.TemporaryDirectory() as root:
        for folder in "core/.libs", ".libs", "include/kurir":
            os.makedirs(os.path.join(root, folder))
        shutil.copy(os.path.join(TOP, "core/libkurir.map"), os.path.join(root, "core"))
        with open(os.path.join(root, "include/kurir/x.h"), "w", encoding="utf-8") as f:
            f.write(HEADER.format("X", "KURIR_API int kurir_promised(void);"))
        subprocess.run([*os.environ.get("CC", "cc").split(), "-shared", "-fPIC", "-o",
                        os.path.join(root, library), "-xc", "-"], input=text, text=True, check=True)
        done = subprocess.run([sys.executable, os.path.join(HERE, "exports.py")], text=True,
                              capture_output=True, check=False,
                              env=dict(os.environ, top_srcdir=root, top_builddir=root))
        return "not ok" in done.stdout and words in done.stdout, done.stdout + done.stderr


proofs = [(f"{law} sees {what}", prove, (law, *rest)) for law, what, *rest in SAMPLES]
proofs += [(f"exports sees {what}", prove_exports, rest) for what, *rest in LIBRARIES]
print(f"1..{len(proofs)}")
for number, (name, proof, sample) in enumerate(proofs, 1):
    good, said = proof(*sample)
    print(f"{'ok' if good else 'not ok'} {number} - {name}")
    if not good:
        print("# " + said.replace("\n", "\n# "))
