// Signing in again without leaving the page: what is typed stays where it is.
// Owns the CSRF token of the session that the page is in.

let token = "";
let asking = null;

export const csrf = () => {
  token ||= document.querySelector("input[name=csrf]")?.value ?? "";
  return token;
};

const renew = (fresh) => {
  token = fresh;
  for (const field of document.querySelectorAll("input[name=csrf]")) field.value = fresh;
};

const field = (label, name, type, value = "") => {
  const holder = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { name, type, value, required: true });
  input.autocomplete = name === "password" ? "current-password" : "username";
  holder.append(label, input);
  return holder;
};

// Another tab signs in at the company; this one goes on with the session that it made.
const elsewhere = (company, who, note, done) => {
  const link = Object.assign(document.createElement("a"), { href: "/review/oidc", target: "_blank" });
  link.className = "button";
  link.textContent = `Sign in with ${company}`;
  const back = Object.assign(document.createElement("button"), { type: "button" });
  back.textContent = "I have signed in there";
  back.addEventListener("click", async () => {
    const answer = await fetch("/api/session").catch(() => null);
    const told = answer?.ok ? await answer.json() : null;
    if (told?.username === who) return done(told.csrf_token);
    note.textContent = told ? `This page is ${who}'s, and ${told.username} is signed in.` : "Not yet.";
  });
  return [link, back];
};

const ask = () =>
  new Promise((go) => {
    const dialog = document.createElement("dialog");
    dialog.setAttribute("aria-labelledby", "again");
    const form = document.createElement("form");
    form.className = "stack";
    const head = Object.assign(document.createElement("h2"), { id: "again" });
    head.textContent = "Your session has ended";
    const note = document.createElement("p");
    note.textContent = "Everything you typed is still here. Sign in to go on.";
    note.setAttribute("role", "status");
    const who = document.querySelector(".me")?.dataset.username ?? "";
    const button = Object.assign(document.createElement("button"), { textContent: "Sign in" });
    button.className = "primary";
    form.append(head, note, field("User name", "username", "text", who));
    form.append(field("Password", "password", "password"), button);
    dialog.append(form);
    const goOn = (csrf) => {
      renew(csrf);
      dialog.remove();
      go();
    };
    const company = document.querySelector(".me")?.dataset.company;
    if (company) form.append(...elsewhere(company, who, note, goOn));
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const sent = Object.fromEntries(new FormData(form));
      if (who && sent.username !== who) {
        note.textContent = `This page is ${who}'s. Sign in as ${who}, or leave it.`;
        return;
      }
      try {
        const headers = { "Content-Type": "application/json" };
        const body = JSON.stringify(sent);
        const answer = await fetch("/api/session", { method: "POST", headers, body });
        const told = await answer.json();
        if (!answer.ok) {
          note.textContent = `${told.title}. ${told.next}`;
          return;
        }
        goOn(told.csrf_token);
      } catch {
        note.textContent = "Placet does not answer. Try again.";
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    form.elements.password.focus();
  });

export const signIn = () => {
  asking ??= ask().finally(() => (asking = null));
  return asking;
};
