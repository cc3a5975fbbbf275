// Nobody signs in: everybody is a guest.

export const openSignIn = () => null;
