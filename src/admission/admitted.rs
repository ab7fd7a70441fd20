/// An object that passed the gate. Only this room makes one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Admitted<T>(T);

impl<T> Admitted<T> {
    pub(super) fn new(object: T) -> Self {
        Self(object)
    }

    pub(crate) fn get(&self) -> &T {
        &self.0
    }

    pub(crate) fn into_inner(self) -> T {
        self.0
    }

    /// Lets tests of other rooms write objects without going through the rules.
    #[cfg(test)]
    pub(crate) fn for_test(object: T) -> Self {
        Self::new(object)
    }
}
